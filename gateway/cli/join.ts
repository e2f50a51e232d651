/** `sallyport join`: a participant on the command line. */
import { readFile } from 'node:fs/promises';
import { audioSlotMids, videoSlotMids } from '../../tunnel-protocol/index.ts';
import type { ClipSource, IvfRecorder, NodeCall, OpusRecorder } from '../../client/index.ts';
import { UsageError } from './command.ts';
import type { Command } from './command.ts';
import { isPictureFile, joinHelp, parseJoinArguments } from './join-arguments.ts';
import type { JoinArguments } from './join-arguments.ts';
import { JoinReport, describeAttempt, describeRoom, reportEvents } from './join-report.ts';
import type { JoinOutput } from './join-report.ts';

type Client = typeof import('../../client/index.ts');

export const joinCommand: Command = {
  summary: 'join a room from the command line: publish a clip, record, watch the figures',
  help: joinHelp,
  run: (args) => runJoin(parseJoinArguments(args, process.env), process.stdout, interruptSignal()),
};

const exitCode = { asAsked: 0, joinFailed: 2, callLost: 3 } as const;

/** Aborts at the first Ctrl-C or SIGTERM; a second one ends the process at once, as usual. */
function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  const interrupt = (): void => {
    controller.abort();
  };
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  return controller.signal;
}

/** Resolves with the exit code when the call has ended. Throws UsageError for files that cannot be used. */
export async function runJoin(args: JoinArguments, out: JoinOutput, signal: AbortSignal): Promise<number> {
  const client = await import('../../client/index.ts');
  const report = new JoinReport(out);
  // All files first: nobody shall see us come and go because of a wrong name.
  const files = await openFiles(client, args);
  let call: NodeCall;
  try {
    call = await join(client, args, report, signal);
  } catch (error) {
    await files.close();
    if (!(error instanceof client.ClientError)) throw error;
    if (error.code === 'bad-option' || error.code === 'bad-url') throw new UsageError(error.message, { cause: error });
    report.line(error.code === 'aborted' ? 'the join was called off' : `cannot join (${error.code}): ${error.message}`);
    return exitCode.joinFailed;
  }
  try {
    return await takePart(call, args, files, report, signal);
  } finally {
    await call.leave();
    await files.close();
    for (const text of files.summary()) report.line(text);
  }
}

async function join(client: Client, args: JoinArguments, report: JoinReport, signal: AbortSignal): Promise<NodeCall> {
  const steps = {
    session: 'admitted by the edge',
    control: 'control channel is up',
    negotiated: 'offer and answer exchanged',
    media: 'media can flow',
  } as const;
  const { room, token, name, rungs, insecure, caFile, proxy } = args;
  const ca = caFile === undefined ? undefined : await readText(caFile);
  return client.join(args.url, {
    room,
    signal,
    insecure,
    onStep: (step, ms) => {
      report.line(`${ms.toFixed(0).padStart(5)} ms  ${steps[step]}`);
    },
    onAttempt: (attempt) => {
      report.line(`          ${describeAttempt(attempt)}`);
    },
    ...(token === undefined ? {} : { token }),
    ...(name === undefined ? {} : { name }),
    ...(rungs === undefined ? {} : { rungs }),
    ...(ca === undefined ? {} : { ca }),
    ...(proxy === undefined ? {} : { proxy }),
  });
}

async function takePart(
  call: NodeCall,
  args: JoinArguments,
  files: Files,
  report: JoinReport,
  signal: AbortSignal,
): Promise<number> {
  const { room, durationMs } = args;
  report.line(`joined ${room} as ${call.self.name} over ${call.rung} in ${call.stats().joinMs.toFixed(0)} ms`);
  report.line(describeRoom(call));
  reportEvents(call, report);
  call.on('stats', (stats) => {
    report.stats(stats, files.figures());
  });
  const ended = new Promise<number>((resolve) => {
    call.on('closed', ({ error }) => {
      report.end();
      if (error !== null) report.line(`the call ended (${error.code}): ${error.message}`);
      resolve(error === null ? exitCode.asAsked : exitCode.callLost);
    });
  });
  const interrupted = new Promise<number>((resolve) => {
    const stop = (): void => {
      report.end();
      resolve(exitCode.asAsked);
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    if (durationMs !== null) setTimeout(stop, durationMs).unref();
  });
  const failed = files.attach(call).then(
    () => new Promise<number>(() => undefined),
    (error: unknown) => {
      // Not permitted to publish, for one; the call itself would go on, but not as it was asked for.
      report.line(`cannot publish: ${error instanceof Error ? error.message : String(error)}`);
      return exitCode.callLost;
    },
  );
  return Promise.race([ended, interrupted, failed]);
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new UsageError(`${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

async function openFiles(client: Client, args: JoinArguments): Promise<Files> {
  try {
    const source = args.publish.length === 0 ? null : new client.ClipSource(await client.loadClip(args.publish));
    const picture = args.record.find(isPictureFile);
    const sound = args.record.find((file) => !isPictureFile(file));
    return new Files(
      source,
      picture === undefined ? null : await client.IvfRecorder.open(picture),
      sound === undefined ? null : await client.OpusRecorder.open(sound),
    );
  } catch (error) {
    if (error instanceof client.ClientError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

/** What is played and what is recorded. */
class Files {
  readonly #source: ClipSource | null;
  readonly #picture: IvfRecorder | null;
  readonly #sound: OpusRecorder | null;

  constructor(source: ClipSource | null, picture: IvfRecorder | null, sound: OpusRecorder | null) {
    this.#source = source;
    this.#picture = picture;
    this.#sound = sound;
  }

  async attach(call: NodeCall): Promise<void> {
    // Main's: the first video slot, and the audio slot that goes with it.
    const [mainPicture] = videoSlotMids;
    const [mainSound] = audioSlotMids;
    const record = ({ track, mid }: NodeCall['tracks'][number]): void => {
      if (mid === mainPicture) {
        this.#picture?.record(track, () => {
          call.requestKeyFrame(mid);
        });
      }
      if (mid === mainSound) this.#sound?.record(track);
    };
    call.tracks.forEach(record);
    call.on('track', record);
    for (const track of this.#source?.tracks ?? []) await call.publish(track);
    this.#source?.start();
  }

  /** For the line of figures. */
  figures(): string {
    const sent = this.#source?.video == null ? '' : `  frames sent ${String(this.#source.framesSent)}`;
    const recorded = this.#picture === null ? '' : `  frames recorded ${String(this.#picture.frames)}`;
    return sent + recorded;
  }

  summary(): string[] {
    const lines: string[] = [];
    if (this.#picture !== null) {
      const { frames, keyFrames } = this.#picture;
      lines.push(`recorded ${String(frames)} frames, ${String(keyFrames)} of them key frames`);
    }
    if (this.#sound !== null) lines.push(`recorded ${String(this.#sound.packets)} packets of sound`);
    return lines;
  }

  async close(): Promise<void> {
    this.#source?.stop();
    await Promise.all([this.#picture?.close(), this.#sound?.close()]);
  }
}
