/** Where recordings go, as the SFU sees it. It writes no file itself: whoever runs it gives it a store. */

/** Why a recording ended before anybody wanted it to. */
export type RecordingFault = 'disk-full' | 'not-writable' | 'write-failed';

export interface RecordingFile {
  /** So much waits for the disk already that frames should be left out. */
  readonly isFull: boolean;
  /** At the end, in this order, as soon as the disk can; the bytes are given away. */
  append(bytes: Uint8Array): void;
  /** Over what was appended earlier. */
  overwrite(bytes: Uint8Array, at: number): void;
  end(): void;
}

/** One recording's place. Nothing of it throws: what fails is told once by `onFault`. */
export interface RecordingPlace {
  /** `name` has letters, digits, dots and hyphens only. */
  file(name: string): RecordingFile;
  /** The JSON beside the files, as it is from now on. */
  describe(json: string): void;
  /** Nothing more comes. Resolves when all that came is on the disk, or cannot be. */
  end(): Promise<void>;
}

export interface RecordingStore {
  open(
    recording: { readonly id: string; readonly room: string },
    onFault: (fault: RecordingFault) => void,
  ): RecordingPlace;
}
