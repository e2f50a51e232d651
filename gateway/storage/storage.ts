/** Where recordings go when they are finished. */
export interface Storage {
  /** A folder of a recording to which nothing will be added. Until it is stored it stays; then it is the storage's to remove. */
  add(folder: string): void;
  /** How many wait. */
  readonly pending: number;
  /** How many were stored, and how often one had to be tried again, since the start. */
  readonly stored: number;
  readonly retries: number;
  close(): Promise<void>;
}

/** They stay where they are. */
export class FolderStorage implements Storage {
  readonly pending = 0;
  stored = 0;
  readonly retries = 0;

  add(): void {
    this.stored++;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
