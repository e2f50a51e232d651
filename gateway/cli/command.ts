/** What a file of this folder exports to be a command of `sallyport`. */
export interface Command {
  /** One line for the list of commands. */
  readonly summary: string;
  /** What `--help` prints. */
  readonly help: string;
  /** Arguments after the command's name. Resolves with the exit code. Throws {@link UsageError}. */
  readonly run: (args: readonly string[]) => Promise<number>;
}

/** A mistake in what was typed or configured: printed as it is, without a stack; exit code 1. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
