/**
 * The data channels of one DTLS session (RFC 8831): an SCTP association, its channels, and a bounded queue of what is
 * to be sent. Packets of the peer are looked through before the engine sees them, and handled one after another.
 */
import type { DtlsRole } from '../dtls/engine.ts';
import type { DataCounters } from './data-counters.ts';
import { decodeDcep, encodeDcepAck, encodeDcepOpen, payloadProtocol, type DataChannelParameters } from './dcep.ts';
import {
  establishedState,
  repairSctpEngine,
  unsubscribeAll,
  type SctpEngine,
  type SctpSendOptions,
} from './sctp-engine.ts';
import { checkSctpPacket, maxStreams } from './sctp-guard.ts';

export type DataMessage = string | Uint8Array;

export const dataLimits = {
  /** Bytes of a message, in UTF-8 where it is a text; told in `a=max-message-size` (RFC 8841 section 6). */
  maxMessageBytes: 65_536,
  /** What may wait to be sent. Beyond it a reliable message is refused; unreliable ones are dropped much earlier. */
  maxQueuedBytes: 1_048_576,
  maxQueuedUnreliableBytes: 131_072,
  /** Channels that the peer may have open. */
  maxRemoteChannels: 32,
  maxLocalChannels: 256,
} as const;

/** Bytes of what may wait to be put together, as the peer is told. */
const receiveWindowBytes = 262_144;
/** A peer that sends this much beyond its window does not look at it. */
const windowSlackBytes = 65_536;
const maxWaitingPackets = 256;
/** What a waiting message costs besides its bytes. */
const overheadBytes = 128;
/** Chunks in the engine: so many not sent, so many not acknowledged. The rest waits here, where it can be dropped. */
const maxEngineUnsent = 64;
const maxEngineUnacknowledged = 512;

export const dataEndReasons = {
  'closed-by-peer': 'The peer ended its data channels, or did not answer.',
  'slow-reader': 'Reliable messages came faster than this participant took them.',
  'data-protocol-error': 'What came on the data channels is not SCTP as it should be.',
} as const;
export type DataEndReason = keyof typeof dataEndReasons;

export interface DataChannel extends DataChannelParameters {
  readonly id: number;
  /** Whether this end opened it. */
  readonly local: boolean;
}

export interface DataEvents {
  onConnected?(): void;
  /** The peer opened a channel. */
  onChannel?(channel: DataChannel): void;
  /** Bytes are the receiver's to keep. */
  onMessage(channel: DataChannel, message: DataMessage): void;
  /** The channel is gone, by the peer's wish. */
  onChannelClosed?(channel: DataChannel): void;
  /** Less waits than before. */
  onProgress?(): void;
  /** Once, and never because of the owner's own `end()`. */
  onEnded(reason: DataEndReason): void;
}

export interface DataAssociationOptions {
  /** As in DTLS: the client's channels have even numbers (RFC 8832 section 6). */
  readonly role: DtlsRole;
  /** Not started; from here on the association's own. */
  readonly engine: SctpEngine;
  readonly remotePort: number;
  /** Largest message that the peer takes. */
  readonly remoteMaxMessageBytes: number;
  readonly counters: DataCounters;
  /** ms since 1970. */
  readonly unixNow: () => number;
  /** The same bytes as a Node `Buffer`, which the engine demands. */
  readonly asBuffer: (bytes: Uint8Array) => Uint8Array;
}

/** `refused`: a reliable message of which too many wait. `lost`: an unreliable one that is dropped. */
export type DataSendResult = 'sent' | 'lost' | 'refused' | 'too-large' | 'closed';

interface Waiting {
  readonly channel: DataChannel;
  readonly protocol: number;
  readonly bytes: Uint8Array;
  /** ms since 1970; Infinity where it does not expire. */
  readonly expiresAt: number;
}

export class DataAssociation {
  readonly #options: DataAssociationOptions;
  readonly #events: DataEvents;
  readonly #engine: SctpEngine;
  readonly #channels = new Map<number, DataChannel>();
  readonly #packets: Uint8Array[] = [];
  /** In order. */
  #queue: Waiting[] = [];
  #queuedBytes = 0;
  #nextId: number;
  #remoteChannels = 0;
  #handling = false;
  #ended = false;

  constructor(options: DataAssociationOptions, events: DataEvents) {
    const { engine, role } = options;
    this.#options = options;
    this.#events = events;
    this.#engine = engine;
    this.#nextId = role === 'client' ? 0 : 1;
    repairSctpEngine(engine, options.unixNow, options.asBuffer);
    engine.advertisedRwnd = receiveWindowBytes;
    engine._inboundStreamsMax = maxStreams;
    engine._outboundStreamsCount = maxStreams;
    engine.onReceive.subscribe((streamId, protocol, data) => {
      this.#receiveMessage(streamId, protocol, data);
    });
    engine.onReconfigStreams.subscribe((streamIds) => {
      for (const streamId of streamIds) this.#forget(streamId);
    });
    engine.stateChanged.connected.subscribe(() => {
      options.counters.associations++;
      events.onConnected?.();
      this.#pump();
    });
    engine.stateChanged.closed.subscribe(() => {
      this.#fail('closed-by-peer');
    });
    engine.onSackReceived = () => {
      this.#pump();
      events.onProgress?.();
      return Promise.resolve();
    };
  }

  /** The client sends the first packet. */
  start(): void {
    void this.#engine.start(this.#options.remotePort).catch(() => {
      this.#fail('data-protocol-error');
    });
  }

  /** Whether messages can go; before that, they wait. */
  get connected(): boolean {
    return !this.#ended && this.#engine.associationState === establishedState;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** What waits to be sent, with what that costs, and without what the engine has. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** One SCTP packet; the bytes are given away. Never throws. */
  receive(packet: Uint8Array): void {
    if (this.#ended) return;
    if (this.#packets.length >= maxWaitingPackets) {
      this.#options.counters.packets_dropped++;
      return;
    }
    this.#packets.push(packet);
    if (!this.#handling) void this.#handlePackets();
  }

  /** Opens a channel; null when there are too many, or the association has ended. Messages may follow at once. */
  open(parameters: DataChannelParameters): DataChannel | null {
    const id = this.#freeId();
    if (this.#ended || id === null) return null;
    const channel: DataChannel = { ...parameters, id, local: true };
    const bytes = encodeDcepOpen(parameters);
    this.#channels.set(id, channel);
    this.#enqueue(channel, payloadProtocol.control, bytes, Infinity);
    return channel;
  }

  /** The message is given away. */
  send(channel: DataChannel, message: DataMessage): DataSendResult {
    if (this.#ended || this.#channels.get(channel.id) !== channel) return 'closed';
    const bytes = typeof message === 'string' ? new TextEncoder().encode(message) : message;
    if (bytes.length > Math.min(dataLimits.maxMessageBytes, this.#options.remoteMaxMessageBytes)) return 'too-large';
    const { reliability } = channel;
    const total = this.#queuedBytes + bytes.length + overheadBytes;
    if (reliability.kind === 'reliable') {
      if (total > dataLimits.maxQueuedBytes) return 'refused';
    } else if (total > dataLimits.maxQueuedUnreliableBytes) {
      this.#options.counters.messages_lost++;
      return 'lost';
    }
    const expiresAt = reliability.kind === 'lifetime' ? this.#options.unixNow() + reliability.limit : Infinity;
    this.#enqueue(channel, protocolOf(message, bytes), bytes.length === 0 ? Uint8Array.of(0) : bytes, expiresAt);
    return 'sent';
  }

  /** Closes a channel of either end (RFC 8831 section 6.7). Idempotent. */
  close(channel: DataChannel): void {
    if (this.#channels.get(channel.id) !== channel) return;
    this.#remove(channel);
    if (this.connected) this.#reset(channel.id);
  }

  /** Ends everything with an ABORT, where the peer may still hear it. No event follows. Idempotent. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#packets.length = 0;
    this.#channels.clear();
    unsubscribeAll(this.#engine);
    this.#engine.onSackReceived = () => Promise.resolve();
    // Nothing is left to be told: it ends its timers, and a failure to send is none.
    void this.#engine.stop().catch(() => undefined);
  }

  async #handlePackets(): Promise<void> {
    this.#handling = true;
    for (let packet = this.#packets.shift(); packet !== undefined; packet = this.#packets.shift()) {
      await this.#handlePacket(packet);
    }
    this.#handling = false;
  }

  async #handlePacket(packet: Uint8Array): Promise<void> {
    const { associationState, lastReceivedTsn, localTsn } = this.#engine;
    const view = {
      established: associationState === establishedState,
      lastReceived: lastReceivedTsn,
      nextToSend: localTsn,
    };
    if (checkSctpPacket(packet, view) !== null) {
      this.#options.counters.packets_refused++;
      return;
    }
    try {
      await this.#engine.handleData(this.#options.asBuffer(packet));
    } catch {
      // A checksum that is wrong, or a chunk that is cut short: as good as not received.
      this.#options.counters.packets_refused++;
    }
    if (this.#engine.advertisedRwnd < -windowSlackBytes) this.#fail('data-protocol-error');
  }

  #receiveMessage(streamId: number, protocol: number, data: Uint8Array): void {
    if (this.#ended) return;
    if (protocol === payloadProtocol.control) {
      this.#receiveControl(streamId, data);
      return;
    }
    const channel = this.#channels.get(streamId);
    const message = messageOf(protocol, data);
    if (channel === undefined || message === null) {
      this.#options.counters.packets_refused++;
      return;
    }
    if (data.length > dataLimits.maxMessageBytes) {
      this.#fail('data-protocol-error');
      return;
    }
    this.#options.counters.messages_in++;
    this.#events.onMessage(channel, message);
  }

  #receiveControl(streamId: number, data: Uint8Array): void {
    const dcep = decodeDcep(data);
    const { counters, role } = this.#options;
    if (typeof dcep === 'string') {
      counters.channels_refused++;
      this.#reset(streamId);
      return;
    }
    if (dcep.type === 'ack') return;
    const known = this.#channels.get(streamId);
    const peersNumber = streamId % 2 === (role === 'client' ? 1 : 0);
    if (known !== undefined || !peersNumber || this.#remoteChannels >= dataLimits.maxRemoteChannels) {
      counters.channels_refused++;
      if (known === undefined) this.#reset(streamId);
      return;
    }
    const channel: DataChannel = { ...dcep.parameters, id: streamId, local: false };
    this.#channels.set(streamId, channel);
    this.#remoteChannels++;
    counters.channels_opened++;
    this.#enqueue(channel, payloadProtocol.control, encodeDcepAck(), Infinity);
    this.#events.onChannel?.(channel);
  }

  #enqueue(channel: DataChannel, protocol: number, bytes: Uint8Array, expiresAt: number): void {
    this.#queue.push({ channel, protocol, bytes, expiresAt });
    this.#queuedBytes += bytes.length + overheadBytes;
    this.#pump();
  }

  /** Hands the engine as much as it may have. */
  #pump(): void {
    if (!this.connected) return;
    const { counters, unixNow, asBuffer } = this.#options;
    const { outboundQueue, sentQueue } = this.#engine;
    let room = Math.min(maxEngineUnsent - outboundQueue.length, maxEngineUnacknowledged - sentQueue.length);
    let taken = 0;
    for (const { channel, protocol, bytes, expiresAt } of this.#queue) {
      if (room <= 0) break;
      taken++;
      this.#queuedBytes -= bytes.length + overheadBytes;
      if (expiresAt < unixNow()) {
        counters.messages_lost++;
        continue;
      }
      room -= 1 + Math.floor(bytes.length / 1024);
      if (protocol !== payloadProtocol.control) counters.messages_out++;
      const options = sendOptions(channel, protocol, expiresAt);
      void this.#engine.send(channel.id, protocol, asBuffer(bytes), options).catch(() => {
        this.#fail('data-protocol-error');
      });
    }
    if (taken > 0) this.#queue = this.#queue.slice(taken);
  }

  #reset(streamId: number): void {
    const { reconfigQueue } = this.#engine;
    if (!reconfigQueue.includes(streamId)) reconfigQueue.push(streamId);
    void this.#engine.transmitReconfigRequest().catch(() => {
      this.#fail('data-protocol-error');
    });
  }

  /** Both ends of a stream are reset: the peer closed the channel, or agrees to our closing it. */
  #forget(streamId: number): void {
    const channel = this.#channels.get(streamId);
    if (channel === undefined) return;
    this.#remove(channel);
    this.#reset(streamId);
    this.#events.onChannelClosed?.(channel);
  }

  #remove(channel: DataChannel): void {
    this.#channels.delete(channel.id);
    if (!channel.local) this.#remoteChannels--;
    const kept = this.#queue.filter((waiting) => waiting.channel !== channel);
    if (kept.length === this.#queue.length) return;
    this.#queue = kept;
    this.#queuedBytes = kept.reduce((sum, { bytes }) => sum + bytes.length + overheadBytes, 0);
  }

  /** Numbers go round, so that one that was just closed rests as long as can be. */
  #freeId(): number | null {
    let local = 0;
    for (const channel of this.#channels.values()) if (channel.local) local++;
    if (local >= dataLimits.maxLocalChannels) return null;
    while (this.#channels.has(this.#nextId)) this.#nextId = (this.#nextId + 2) % maxStreams;
    const id = this.#nextId;
    this.#nextId = (id + 2) % maxStreams;
    return id;
  }

  #fail(reason: DataEndReason): void {
    if (this.#ended) return;
    this.#options.counters.associations_ended++;
    this.end();
    this.#events.onEnded(reason);
  }
}

function protocolOf(message: DataMessage, bytes: Uint8Array): number {
  if (typeof message === 'string') return bytes.length === 0 ? payloadProtocol.emptyText : payloadProtocol.text;
  return bytes.length === 0 ? payloadProtocol.emptyBinary : payloadProtocol.binary;
}

/** Null when the protocol is not one of messages. */
function messageOf(protocol: number, data: Uint8Array): DataMessage | null {
  switch (protocol) {
    case payloadProtocol.text:
      return new TextDecoder().decode(data);
    case payloadProtocol.binary:
      return data;
    case payloadProtocol.emptyText:
      return '';
    case payloadProtocol.emptyBinary:
      return new Uint8Array(0);
    default:
      return null;
  }
}

function sendOptions(channel: DataChannel, protocol: number, expiresAt: number): SctpSendOptions {
  if (protocol === payloadProtocol.control) return { ordered: true };
  const { ordered, reliability } = channel;
  if (reliability.kind === 'reliable') return { ordered };
  if (reliability.kind === 'retransmits') return { ordered, maxRetransmits: reliability.limit };
  return { ordered, expiry: expiresAt / 1000 };
}
