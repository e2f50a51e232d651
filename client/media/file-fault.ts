/** Why a file cannot be read. Returned, never thrown; `instanceof` tells it from a result. */
export class FileFault {
  /** Says what is wrong and where, for people. */
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}
