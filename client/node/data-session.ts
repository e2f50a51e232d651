/** The data channels of a Node client's call: one association on the media transport's DTLS, channels opened by need. */
import { createDataCounters, dataEndReasons, dataLimits } from '../../tunnel-protocol/index.ts';
import type { DataAssociation, DataChannel } from '../../tunnel-protocol/index.ts';
import type { DataEvent, SendDataOptions } from '../call.ts';
import { channelKey, channelOf, checkSize } from '../data-channel/topics.ts';
import { createDataAssociation } from '../data-channel/index.ts';
import { ClientError } from '../errors.ts';
import type { NodeTransport } from './node-transport.ts';
import type { Answer } from './sdp-answer.ts';

export interface DataSessionEvents {
  onData(event: DataEvent): void;
  /** Not because of `close()`. */
  onEnded(error: ClientError): void;
}

export class DataSession {
  readonly #association: DataAssociation | null;
  readonly #channels = new Map<string, DataChannel>();
  /** Those whose message waits for room. */
  #waiting: (() => void)[] = [];
  #error: ClientError | null = null;

  constructor(transport: NodeTransport, answer: Answer, events: DataSessionEvents) {
    if (answer.data === null) {
      this.#association = null;
      this.#error = new ClientError('data-unavailable', { detail: 'the server offers none' });
      return;
    }
    const { port: remotePort, maxMessageBytes: remoteMaxMessageBytes } = answer.data;
    const association: DataAssociation = createDataAssociation(
      {
        role: 'client',
        remotePort,
        remoteMaxMessageBytes,
        counters: createDataCounters(),
        send: (packet) => {
          transport.sendData(packet);
        },
      },
      {
        onMessage: ({ label, protocol, local }, data) => {
          if (!local) events.onData({ from: protocol, topic: label, data });
        },
        onChannelClosed: (channel) => {
          for (const [key, known] of this.#channels) if (known === channel) this.#channels.delete(key);
        },
        onProgress: () => {
          this.#wake();
        },
        onEnded: (reason) => {
          this.#end(new ClientError('data-unavailable', { detail: dataEndReasons[reason], serverCode: reason }));
          if (this.#error !== null) events.onEnded(this.#error);
        },
      },
    );
    this.#association = association;
    transport.on('data', (packet) => {
      association.receive(packet);
    });
    association.start();
  }

  async send(data: string | Uint8Array, options: SendDataOptions): Promise<void> {
    checkSize(data);
    const parameters = channelOf(options);
    const key = channelKey(parameters);
    const association = this.#association;
    for (;;) {
      if (this.#error !== null || association === null) throw this.#error ?? new ClientError('left');
      const channel = this.#channels.get(key) ?? association.open(parameters);
      if (channel === null) throw new ClientError('bad-option', { detail: 'too many topics' });
      this.#channels.set(key, channel);
      const result = association.send(channel, typeof data === 'string' ? data : data.slice());
      if (result === 'too-large') throw new ClientError('data-too-large');
      if (result === 'sent' || result === 'lost') return;
      if (result === 'closed') this.#channels.delete(key);
      else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** The server says that it ended the channels, and why. */
  endedByServer(code: string, message: string): ClientError | null {
    if (this.#error !== null) return null;
    const error = new ClientError('data-unavailable', { detail: message, serverCode: code });
    this.#end(error);
    return error;
  }

  close(): void {
    if (this.#error === null) this.#end(new ClientError('left'));
  }

  #end(error: ClientError): void {
    this.#error = error;
    this.#association?.end();
    this.#channels.clear();
    this.#wake();
  }

  #wake(): void {
    if (this.#error === null && (this.#association?.queuedBytes ?? 0) > dataLimits.maxQueuedBytes / 2) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }
}
