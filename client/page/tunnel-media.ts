/**
 * Media on the tunnel, as the page sees it: starts the worker that has the media stack, brings datagrams there and back, and
 * gives it tracks. Loaded when it is needed. The control channel stays with the page.
 */
import { audioSlotMids, videoSlotMids } from '../../tunnel-protocol/index.ts';
import type { MediaKind, Rid, Rung, SlotAssignment, Source } from '../../tunnel-protocol/index.ts';
import type { ControlClient } from '../control/index.ts';
import { Emitter } from '../emitter.ts';
import { ClientError } from '../errors.ts';
import { DatagramBatch, readBatch } from '../media-stack/datagram-batch.ts';
import type { FromWorker, ToWorker, WorkerTrackStats } from './media-worker/messages.ts';
import { framesOf, trackOf } from './track-streams.ts';
import type { SourceOfFrames, TrackOfFrames } from './track-streams.ts';

export interface TunnelMediaOptions {
  readonly control: ControlClient;
  /** The tunnels that media may use; all if absent. */
  readonly rungs: readonly Rung[];
  /** Of the worker's script. Its origin may be another one than the page's. */
  readonly workerUrl: string;
}

export interface TunnelMediaEvents {
  /** Media can flow: the server answers on the tunnel, and DTLS is through. Again after an interruption. */
  state: TunnelState;
  /** The first picture or sound of a slot is there. */
  alive: string;
  stats: readonly WorkerTrackStats[];
  /** It cannot go on. Nothing follows. */
  closed: ClientError;
}

export type TunnelState = 'connecting' | 'connected' | 'interrupted' | 'closed';

const videoMids: readonly string[] = videoSlotMids;
/** The datagrams' budget is looked at so often. */
const rateIntervalMs = 250;

export class TunnelMedia extends Emitter<TunnelMediaEvents> {
  readonly #options: TunnelMediaOptions;
  readonly #incoming = new DatagramBatch();
  readonly #cleanUp: (() => void)[] = [];
  readonly #tracks = new Map<string, TrackOfFrames>();
  readonly #sources = new Map<Source, SourceOfFrames>();
  readonly #early: ToWorker[] = [];
  #worker: Worker | null = null;
  #flushQueued = false;
  #secured = false;
  #state: TunnelState = 'connecting';
  #stats: readonly WorkerTrackStats[] = [];
  #levels = new Map<string, number>();
  #roundTripMs: number | null = null;
  #fingerprint = '';
  #firstPictureAt: number | null = null;

  constructor(options: TunnelMediaOptions) {
    super();
    this.#options = options;
    this.#watchControl();
  }

  get state(): TunnelState {
    return this.#state;
  }

  /** The tunnel that carries media, or would; null when what carries the control channel is not allowed for media. */
  get rung(): Rung | null {
    const { control, rungs } = this.#options;
    return rungs.includes(control.rung) ? control.rung : null;
  }

  get roundTripMs(): number | null {
    return this.#roundTripMs;
  }

  get stats(): readonly WorkerTrackStats[] {
    return this.#stats;
  }

  /** Of this transport's certificate; empty before `start` has got that far. */
  get fingerprint(): string {
    return this.#fingerprint;
  }

  /** When the first picture of anybody was decoded, on this page's clock. */
  get firstPictureAt(): number | null {
    return this.#firstPictureAt;
  }

  level(mid: string): number {
    return this.#levels.get(mid) ?? 0;
  }

  track(mid: string): MediaStreamTrack | null {
    return this.#tracks.get(mid)?.track ?? null;
  }

  /** Offer and answer; media flows when `state` is `connected`. Rejects with a ClientError. */
  async start(): Promise<void> {
    const [worker] = await Promise.all([startWorker(this.#options.workerUrl), this.#makeTracks()]);
    if (this.#state === 'closed') {
      worker.terminate();
      return;
    }
    this.#worker = worker;
    const offered = new Promise<string>((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
        if (data.type === 'offer') {
          this.#fingerprint = data.fingerprint;
          resolve(data.sdp);
        } else if (data.type === 'closed') reject(new ClientError(data.code, { detail: data.detail }));
      };
      worker.onerror = ({ message }) => {
        reject(new ClientError('handshake-failed', { detail: `the media worker: ${message}` }));
      };
    });
    worker.postMessage({ type: 'start' } satisfies ToWorker);
    const { sdp } = await this.#options.control.request({ type: 'offer', sdp: await offered });
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      this.#receive(data);
    };
    worker.onerror = ({ message }) => {
      this.#end(new ClientError('handshake-failed', { detail: `the media worker: ${message}` }));
    };
    for (const [mid, { sink, transfer }] of this.#tracks) this.#post({ type: 'sink', mid, sink }, transfer);
    this.#tellPath();
    this.#post({ type: 'answer', sdp });
    for (const message of this.#early.splice(0)) this.#post(message);
  }

  /** Null sends nothing. */
  async send(source: Source, track: MediaStreamTrack | null): Promise<void> {
    const before = this.#sources.get(source);
    const next = track === null ? null : await framesOf(track);
    if (this.#state === 'closed') return;
    before?.stop();
    if (next === null) {
      this.#sources.delete(source);
      this.#post({ type: 'send', source, frames: null });
    } else {
      this.#sources.set(source, next);
      this.#post({ type: 'send', source, frames: next.frames }, next.transfer);
    }
  }

  assign(slots: readonly SlotAssignment[]): void {
    this.#postSoon({ type: 'slots', slots: slots.map(({ mid, participant }) => ({ mid, participant })) });
  }

  watched(rids: readonly Rid[]): void {
    this.#postSoon({ type: 'watched', rids });
  }

  /** Pictures from here on, in all slots. */
  refresh(): void {
    this.#post({ type: 'refresh' });
  }

  /** Idempotent; no event follows. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    for (const clean of this.#cleanUp.splice(0)) clean();
    for (const source of this.#sources.values()) source.stop();
    this.#post({ type: 'close' });
    for (const { track } of this.#tracks.values()) track.stop();
  }

  async #makeTracks(): Promise<void> {
    const mids = [
      ...videoSlotMids.map((mid) => [mid, 'video'] as const),
      ...audioSlotMids.map((mid) => [mid, 'audio'] as const),
    ] satisfies (readonly [string, MediaKind])[];
    await Promise.all(
      mids.map(async ([mid, kind]) => {
        const made = await trackOf(kind);
        if (made !== null) this.#tracks.set(mid, made);
      }),
    );
  }

  #watchControl(): void {
    const { control } = this.#options;
    const tellPath = (): void => {
      this.#tellPath();
    };
    const timer = setInterval(() => {
      this.#post({ type: 'rate', bitsPerSecond: control.deliveryRate });
    }, rateIntervalMs);
    this.#cleanUp.push(
      control.on('datagram', (datagram) => {
        this.#bring(datagram);
      }),
      control.on('connected', tellPath),
      control.on('moved', tellPath),
      control.on('disconnected', () => {
        this.#post({ type: 'path', rung: null });
        this.#setState('interrupted');
      }),
      control.on('dropped', (meta) => {
        this.#post({ type: 'dropped', meta });
      }),
      () => {
        clearInterval(timer);
      },
    );
  }

  #tellPath(): void {
    const { control } = this.#options;
    const { rung } = this;
    const allowed = rung === 'websocket' || rung === 'http-stream' || rung === 'long-poll';
    this.#post({ type: 'path', rung: control.connected && allowed ? rung : null });
  }

  /** Borrowed, so copied; those of one task go together. */
  #bring(datagram: Uint8Array): void {
    if (this.#worker === null) return;
    this.#incoming.add(datagram, incomingMeta);
    if (this.#flushQueued) return;
    this.#flushQueued = true;
    queueMicrotask(() => {
      this.#flushQueued = false;
      const batch = this.#incoming.take();
      this.#post({ type: 'datagrams', batch }, [batch.buffer]);
    });
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case 'datagrams': {
        const { control } = this.#options;
        readBatch(message.batch, (datagram, meta) => {
          control.sendDatagram(datagram, meta);
        });
        return;
      }
      case 'connected':
        this.#secured = true;
        this.#setState('connected');
        return;
      case 'nominated':
        if (this.#secured) this.#setState('connected');
        return;
      case 'round-trip':
        this.#roundTripMs = message.ms;
        return;
      case 'alive':
        if (videoMids.includes(message.mid)) this.#firstPictureAt ??= performance.now();
        this.emit('alive', message.mid);
        return;
      case 'stats':
        this.#stats = message.tracks;
        this.#levels = new Map(message.levels);
        this.emit('stats', message.tracks);
        return;
      case 'closed':
        this.#end(new ClientError(message.code, { detail: message.detail }));
        return;
      case 'offer':
        return;
    }
  }

  #setState(state: TunnelState): void {
    if (this.#state === state || this.#state === 'closed') return;
    // What has not begun cannot be interrupted.
    if (state === 'interrupted' && this.#state === 'connecting') return;
    this.#state = state;
    this.emit('state', state);
  }

  #end(error: ClientError): void {
    if (this.#state === 'closed') return;
    this.close();
    this.emit('state', 'closed');
    this.emit('closed', error);
  }

  #post(message: ToWorker, transfer: Transferable[] = []): void {
    this.#worker?.postMessage(message, transfer);
  }

  /** For what counts from the beginning on. */
  #postSoon(message: ToWorker): void {
    if (this.#worker === null) this.#early.push(message);
    else this.#post(message);
  }
}

const incomingMeta = { lane: 0, frameId: 0, keyFrame: false, discardable: false, deadlineMs: 0 } as const;

/** From a Blob: a worker's script has to be of the page's own origin, and the edge's may be another one. */
async function startWorker(url: string): Promise<Worker> {
  const response = await fetch(url, { credentials: 'omit' });
  if (!response.ok) throw new ClientError('edge-unreachable', { detail: `${url}: ${String(response.status)}` });
  const text = await response.text();
  const blobUrl = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
  try {
    return new Worker(blobUrl, { name: 'sallyport-media' });
  } finally {
    // Chromium has read it by then; others may not until the worker runs.
    setTimeout(() => {
      URL.revokeObjectURL(blobUrl);
    }, 10_000);
  }
}
