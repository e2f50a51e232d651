/** Begins and ends the recordings of an SFU's rooms. What they are made of is loaded when the first one begins. */
import type { SfuCounters } from './counters.ts';
import { SfuError } from './errors.ts';
import type { RecordingCause } from './recording/manifest.ts';
import type { RoomRecording } from './recording/index.ts';
import type { Room } from './room.ts';
import type { RecordingSummary, SfuDeps } from './sfu.ts';

export class RoomRecorder {
  readonly #deps: SfuDeps;
  readonly #counters: SfuCounters;
  /** Rooms whose recording is about to begin. */
  readonly #starting = new Map<Room, Promise<RecordingSummary>>();
  readonly #ending = new Set<Promise<void>>();

  constructor(deps: SfuDeps, counters: SfuCounters) {
    this.#deps = deps;
    this.#counters = counters;
  }

  get isAvailable(): boolean {
    return this.#deps.recording !== undefined;
  }

  /** Rejects with SfuError. */
  async start(room: Room, by: RecordingCause): Promise<RecordingSummary> {
    const { recording } = room;
    if (recording !== null) return { id: recording.id, startedAt: recording.startedAt };
    const starting = this.#starting.get(room) ?? this.#start(room, by);
    this.#starting.set(room, starting);
    try {
      return await starting;
    } finally {
      this.#starting.delete(room);
    }
  }

  /** For those who are told by the event `recording` how it went. */
  begin(room: Room, by: RecordingCause): void {
    this.start(room, by).catch((error: unknown) => {
      this.#deps.log.warn({ err: error, by }, 'a recording did not begin');
    });
  }

  /** False when the room is not recorded. */
  stop(room: Room, by: RecordingCause, fault: string | null = null): boolean {
    const wasStarting = this.#starting.delete(room);
    const recording = room.stopRecording(fault, this.#deps.now());
    if (recording !== null) this.#end(recording, by, room.name);
    return wasStarting || recording !== null;
  }

  /** Resolves when all that was recorded is written. */
  async close(): Promise<void> {
    await Promise.all(this.#ending);
  }

  async #start(room: Room, by: RecordingCause): Promise<RecordingSummary> {
    const { recording: deps, log, now, random } = this.#deps;
    if (deps === undefined) throw new SfuError('recording-unavailable');
    const { RoomRecording: Recording } = await import('./recording/index.ts');
    // It was stopped, or everybody left, before it began.
    if (!this.#starting.has(room) || room.sessions.size === 0) throw new SfuError('unknown-room');
    const id = recordingId(deps.wallClock(), random(4));
    const recording: RoomRecording = new Recording(
      {
        ...deps,
        counters: this.#counters,
        random,
        onFault: (fault) => {
          this.#counters.recordings_failed++;
          log.error({ recording: id, fault }, 'a recording cannot be written, and has ended');
          if (room.recording === recording) this.stop(room, fault, fault);
        },
      },
      id,
      room.name,
      by,
      now(),
    );
    this.#counters.recordings_started++;
    log.info({ recording: id, by }, 'a recording began');
    room.startRecording(recording, now());
    return { id, startedAt: recording.startedAt };
  }

  #end(recording: RoomRecording, by: RecordingCause, room: string): void {
    this.#counters.recordings_ended++;
    const ending = recording.end(by, this.#deps.now()).then(
      () => {
        this.#deps.log.info({ recording: recording.id, by }, 'a recording ended');
      },
      (error: unknown) => {
        this.#deps.log.error({ recording: recording.id, err: error, room }, 'a recording did not end cleanly');
      },
    );
    this.#ending.add(ending);
    void ending.finally(() => this.#ending.delete(ending));
  }
}

/** Sorts by time, and is a name for files and objects everywhere. */
function recordingId(unixMs: number, random: Uint8Array): string {
  const time = new Date(unixMs).toISOString().replace(/[-:]|\.[0-9]+/g, '');
  return `${time}-${Array.from(random, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
