/** Writes an incoming Opus track to an Ogg file. */
import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { MediaStreamTrack } from 'werift';
import { ClientError } from '../errors.ts';
import { FileQueue } from './file-queue.ts';
import { OggOpusWriter } from './ogg-opus.ts';
import { opusSamples } from './opus-packet.ts';
import { RtpReorderer } from './rtp-reorderer.ts';
import { TimestampUnwrapper } from './timestamp-unwrapper.ts';

interface Sound {
  readonly sequenceNumber: number;
  readonly timestamp: number;
  readonly payload: Uint8Array;
}

/** Two channels: what WebRTC sends is decoded as such, whatever the sender's microphone has (RFC 7587 section 7). */
const channels = 2;
/** Longer silences are cut to this, in samples: a clock that jumped must not make a file of days. */
const maxSkippedSamples = 48_000 * 60;

/** Used like `IvfRecorder`; what was lost on the way stands as a gap in time. */
export class OpusRecorder {
  readonly #handle: FileHandle;
  readonly #queue: FileQueue;
  readonly #writer = new OggOpusWriter(randomBytes(4).readUInt32BE());
  readonly #time = new TimestampUnwrapper();
  readonly #reorderer: RtpReorderer<Sound>;
  #unsubscribe: () => void = () => undefined;
  #recording = false;
  #packets = 0;
  #expectedTicks = 0;
  #closed: Promise<void> | null = null;

  /** Creates the file. Rejects with ClientError `file-unreadable`. */
  static async open(file: string): Promise<OpusRecorder> {
    try {
      return new OpusRecorder(await open(file, 'w'));
    } catch (error) {
      throw new ClientError('file-unreadable', { detail: messageOf(error), cause: error });
    }
  }

  private constructor(handle: FileHandle) {
    this.#handle = handle;
    this.#queue = new FileQueue(handle);
    this.#queue.write(this.#writer.header(channels));
    this.#reorderer = new RtpReorderer<Sound>({
      packet: (packet) => {
        this.#write(packet);
      },
      // The next packet's timestamp tells how much time is missing.
      lost: () => undefined,
    });
  }

  /** Records this track from now on. Throws on a second call. */
  record(track: MediaStreamTrack): void {
    if (this.#recording) throw new Error('OpusRecorder: it records a track already');
    this.#recording = true;
    const { unSubscribe } = track.onReceiveRtp.subscribe(({ header, payload }) => {
      this.#reorderer.push({ sequenceNumber: header.sequenceNumber, timestamp: header.timestamp, payload });
    });
    this.#unsubscribe = unSubscribe;
  }

  get packets(): number {
    return this.#packets;
  }

  /** Writes what waits and the last page. Idempotent. Rejects with ClientError when the disk refused. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  #write({ timestamp, payload }: Sound): void {
    const samples = opusSamples(payload);
    if (samples === 0) return;
    const ticks = this.#time.unwrap(timestamp);
    const skipped = this.#packets === 0 ? 0 : Math.min(maxSkippedSamples, Math.max(0, ticks - this.#expectedTicks));
    this.#expectedTicks = ticks + samples;
    this.#packets += 1;
    const page = this.#writer.add(payload, skipped);
    if (page !== null) this.#queue.write(page);
  }

  async #close(): Promise<void> {
    this.#unsubscribe();
    try {
      this.#queue.write(this.#writer.end());
      await this.#queue.drained();
    } catch (error) {
      throw new ClientError('file-unreadable', { detail: messageOf(error), cause: error });
    } finally {
      await this.#handle.close();
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
