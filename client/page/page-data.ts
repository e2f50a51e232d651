/** Data channels of a page's call, by the browser's own: one for each topic, addressee and reliability, opened by need. */
import { dataLimits } from '../../tunnel-protocol/index.ts';
import type { DataChannelParameters } from '../../tunnel-protocol/index.ts';
import type { DataEvent, SendDataOptions } from '../call.ts';
import { channelKey, channelOf, checkSize } from '../data-channel/topics.ts';
import { ClientError } from '../errors.ts';

/** How long a channel may take to open. The server opens it at once where it has any. */
const openTimeoutMs = 10_000;
const maxEarlyMessages = 256;

export class PageData {
  readonly #peer: RTCPeerConnection;
  readonly #channels = new Map<string, RTCDataChannel>();
  #error: ClientError | null = null;
  #listener: ((event: DataEvent) => void) | null = null;
  /** What came before anybody listened. */
  #early: DataEvent[] = [];

  constructor(peer: RTCPeerConnection) {
    this.#peer = peer;
    peer.ondatachannel = ({ channel }) => {
      const { label: topic, protocol: from } = channel;
      channel.binaryType = 'arraybuffer';
      channel.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
        this.#receive({ from, topic, data: typeof data === 'string' ? data : new Uint8Array(data) });
      };
    };
  }

  /** Once. What came before is told first. */
  listen(listener: (event: DataEvent) => void): void {
    this.#listener = listener;
    for (const event of this.#early.splice(0)) listener(event);
  }

  async send(data: string | Uint8Array, options: SendDataOptions): Promise<void> {
    checkSize(data);
    const parameters = channelOf(options);
    if (this.#error !== null) throw this.#error;
    const channel = this.#channelFor(parameters);
    await this.#opened(channel);
    while (channel.bufferedAmount > dataLimits.maxQueuedBytes) {
      // What may be lost is not worth the wait.
      if (parameters.reliability.kind !== 'reliable') return;
      await nextEvent(channel, ['bufferedamountlow', 'close']);
    }
    this.#assertOpen(channel);
    if (typeof data === 'string') channel.send(data);
    else channel.send(data.slice());
  }

  /** The server says that it ended the channels, and why; or the call is over. */
  end(error: ClientError): void {
    this.#error ??= error;
  }

  #receive(event: DataEvent): void {
    if (this.#listener !== null) this.#listener(event);
    else if (this.#early.length < maxEarlyMessages) this.#early.push(event);
  }

  #channelFor(parameters: DataChannelParameters): RTCDataChannel {
    const key = channelKey(parameters);
    const known = this.#channels.get(key);
    if (known !== undefined && known.readyState !== 'closed' && known.readyState !== 'closing') return known;
    const { label, protocol, ordered, reliability } = parameters;
    const channel = this.#peer.createDataChannel(label, {
      protocol,
      ordered,
      ...(reliability.kind === 'retransmits' ? { maxRetransmits: reliability.limit } : {}),
      ...(reliability.kind === 'lifetime' ? { maxPacketLifeTime: reliability.limit } : {}),
    });
    channel.bufferedAmountLowThreshold = dataLimits.maxQueuedBytes / 2;
    this.#channels.set(key, channel);
    return channel;
  }

  async #opened(channel: RTCDataChannel): Promise<void> {
    // Without a data section in the answer there is no transport, and nothing would ever happen.
    if (channel.readyState === 'connecting' && this.#peer.sctp !== null) {
      await nextEvent(channel, ['open', 'close', 'error'], openTimeoutMs);
    }
    this.#assertOpen(channel);
  }

  #assertOpen(channel: RTCDataChannel): void {
    if (this.#error !== null) throw this.#error;
    if (channel.readyState !== 'open') {
      throw new ClientError('data-unavailable', { detail: 'the server opens no channel' });
    }
  }
}

function nextEvent(channel: RTCDataChannel, names: readonly string[], timeoutMs?: number): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      for (const name of names) channel.removeEventListener(name, done);
      resolve();
    };
    const timer = timeoutMs === undefined ? undefined : setTimeout(done, timeoutMs);
    for (const name of names) channel.addEventListener(name, done);
  });
}
