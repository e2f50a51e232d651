/**
 * Child processes of a bench: the server under load and the load itself never share a process, so that the CPU time
 * of one is its own. A child module calls {@link serveCommands}; the parent calls {@link startWorker}.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

interface CommandMessage {
  readonly id: number;
  readonly command: string;
  readonly argument: unknown;
}

interface ResultMessage {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

export interface WorkerProcess {
  readonly pid: number;
  /** Runs a command in the child. Rejects with the child's error text, or when the child ends or takes too long. */
  call(command: string, argument?: unknown, timeoutMs?: number): Promise<unknown>;
  /** Ends the child and waits for its exit. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts a compiled module, named by its URL, as a child process.
 * @param core CPU number to pin the child to (by `taskset`); undefined leaves it to the kernel.
 */
export function startWorker(module: URL, core?: number): WorkerProcess {
  const path = fileURLToPath(module);
  return controlWorker(
    core === undefined
      ? fork(path, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
      : fork(path, {
          execPath: 'taskset',
          execArgv: ['-c', String(core), process.execPath],
          stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        }),
  );
}

/** A child that was started otherwise, with a channel for messages; its module calls {@link serveCommands}. */
export function controlWorker(child: ChildProcess): WorkerProcess {
  const exited = new Promise<void>((resolve) =>
    child.once('exit', () => {
      resolve();
    }),
  );
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (reason: Error) => void }>();
  let nextId = 1;
  child.on('message', (message: ResultMessage) => {
    const entry = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error === undefined) entry?.resolve(message.result);
    else entry?.reject(new Error(message.error));
  });
  child.once('error', (error) => {
    failAll(error);
  });
  child.once('exit', (code, signal) => {
    failAll(new Error(`bench process ended early (${signal ?? String(code)})`));
  });

  function failAll(error: Error): void {
    for (const entry of waiting.values()) entry.reject(error);
    waiting.clear();
  }

  return {
    pid: child.pid ?? 0,
    async call(command, argument, timeoutMs = 60_000) {
      const id = nextId++;
      let timer: NodeJS.Timeout | undefined;
      try {
        return await new Promise<unknown>((resolve, reject) => {
          waiting.set(id, { resolve, reject });
          timer = setTimeout(() => {
            reject(new Error(`bench command ${command} took more than ${String(timeoutMs)} ms`));
          }, timeoutMs);
          const message: CommandMessage = { id, command, argument };
          child.send(message);
        });
      } finally {
        clearTimeout(timer);
        waiting.delete(id);
      }
    },
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exited;
    },
  };
}

export type CommandTable = Readonly<Record<string, (argument: never) => unknown>>;

/** Answers the parent's commands until the parent goes away. */
export function serveCommands(commands: CommandTable): void {
  process.on('message', (message: CommandMessage) => {
    const run = commands[message.command] as ((argument: unknown) => unknown) | undefined;
    void Promise.resolve()
      .then(() => {
        if (run === undefined) throw new Error(`unknown bench command ${message.command}`);
        return run(message.argument);
      })
      .then(
        (result) => process.send?.({ id: message.id, result } satisfies ResultMessage),
        (error: unknown) =>
          process.send?.({ id: message.id, error: error instanceof Error ? error.message : String(error) }),
      );
  });
  process.on('disconnect', () => process.exit(0));
}
