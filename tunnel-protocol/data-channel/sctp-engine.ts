/**
 * werift's `SCTP` as an association's engine. All that is used of it is named here by shape, because it reaches for
 * fields that werift does not promise; its version is pinned. What it does wrong is put right here, from outside:
 *
 * - A message past its limits: it gives up the oldest message that is unacknowledged instead, whichever that is, a
 *   reliable one as well; takes a limit of 0 repetitions for none; forgets what it gave up when the FORWARD TSN is lost;
 *   and goes on counting it as in flight.
 * - What came out of order is put in order as text: 1000000000 before 999999999, and by a sort for each chunk. Messages
 *   that waited for an earlier one are not given out with it, and thrown away by the next FORWARD TSN.
 */

import { fragmentFlags, InboundStream } from './inbound-stream.ts';
import type { DtlsRole } from '../dtls/engine.ts';

interface SctpEvent<Arguments extends unknown[]> {
  subscribe(handler: (...values: Arguments) => void): unknown;
  allUnsubscribe(): void;
}

interface SctpChunk {
  readonly tsn: number;
  readonly flags: number;
  bookSize: number;
  sentCount: number;
  abandoned?: boolean;
  retransmit?: boolean;
  /** By a gap block. */
  readonly acked?: boolean;
  /** In s since 1970. */
  readonly expiry?: number;
  readonly maxRetransmits?: number;
}

interface ForwardTsn {
  cumulativeTsn: number;
  streams: [streamId: number, sequence: number][];
}

export interface SctpSendOptions {
  readonly ordered: boolean;
  readonly maxRetransmits?: number;
  /** In s since 1970. */
  readonly expiry?: number;
}

export interface SctpEngine {
  readonly associationState: number;
  readonly localTsn: number;
  readonly lastSackedTsn: number;
  readonly advancedPeerAckTsn: number;
  lastReceivedTsn: number | undefined;
  /** Bytes that the peer may still send; what waits to be put together is taken off. */
  advertisedRwnd: number;
  flightSize: number;
  isServer: boolean;
  _inboundStreamsMax: number;
  _outboundStreamsCount: number;
  readonly inboundStreams: Record<number, InboundStream>;
  readonly sackMisOrdered: Set<number>;
  readonly sackDuplicates: number[];
  readonly outboundQueue: SctpChunk[];
  readonly sentQueue: SctpChunk[];
  forwardTsnChunk: ForwardTsn | undefined;
  readonly reconfigQueue: number[];
  readonly onReceive: SctpEvent<[streamId: number, protocol: number, data: Uint8Array]>;
  readonly onReconfigStreams: SctpEvent<[streamIds: number[]]>;
  readonly stateChanged: Readonly<Record<'connected' | 'closed', SctpEvent<[]>>>;
  onSackReceived: () => Promise<void>;
  maybeAbandon(chunk: SctpChunk): boolean;
  markReceived(tsn: number): boolean;
  getInboundStream(streamId: number): InboundStream;
  updateAdvancedPeerAckPoint(): void;
  handleData(packet: Uint8Array): Promise<void>;
  send(streamId: number, protocol: number, data: Uint8Array, options: SctpSendOptions): Promise<void>;
  transmitReconfigRequest(): Promise<void>;
  start(remotePort: number): Promise<void>;
  stop(): Promise<void>;
}

/** werift's `RTCSctpTransport`: it gives its association away only with a transport around it, which wants to see DTLS. */
export interface SctpTransport {
  setDtlsTransport(dtls: never): void;
  readonly sctp: object;
}

/** What fits a DTLS record in a datagram of 1200 bytes. */
export const sctpMtu = 1_160;

/** Takes the association out of its transport. `send` gets one packet; the bytes are given away. */
export function sctpEngineFrom(
  transport: SctpTransport,
  role: DtlsRole,
  send: (packet: Uint8Array) => void,
): SctpEngine {
  const dtls = {
    id: '',
    iceTransport: { role: role === 'server' ? 'controlled' : 'controlling' },
    onStateChange: { subscribe: () => ({ unSubscribe: () => undefined }) },
    sendData: (packet: Uint8Array) => {
      send(packet);
      return Promise.resolve();
    },
  };
  transport.setDtlsTransport(dtls as never);
  const engine = transport.sctp as SctpEngine;
  engine.isServer = role === 'server';
  unsubscribeAll(engine);
  return engine;
}

export function unsubscribeAll({ onReceive, onReconfigStreams, stateChanged }: SctpEngine): void {
  for (const event of [onReceive, onReconfigStreams, stateChanged.connected, stateChanged.closed])
    event.allUnsubscribe();
}

export const establishedState = 4;

const maxDuplicates = 64;
const forwardTsnIntervalMs = 200;

/** Puts right what is wrong; once, before the engine starts. `now`: ms since 1970. */
export function repairSctpEngine(
  engine: SctpEngine,
  now: () => number,
  asBuffer: (bytes: Uint8Array) => Uint8Array,
): void {
  engine.getInboundStream = (streamId) => (engine.inboundStreams[streamId] ??= new InboundStream(asBuffer));
  engine.maybeAbandon = (chunk) => {
    if (chunk.abandoned === true) return true;
    const { maxRetransmits, expiry } = chunk;
    const spent = maxRetransmits !== undefined && chunk.sentCount > maxRetransmits;
    if (!spent && !(expiry !== undefined && expiry < now() / 1000)) return false;
    abandonMessage(engine, chunk);
    return true;
  };
  engine.markReceived = (tsn) => {
    const last = engine.lastReceivedTsn ?? 0;
    const { sackMisOrdered: ahead, sackDuplicates: duplicates } = engine;
    if (((last - tsn) | 0) >= 0 || ahead.has(tsn)) {
      if (duplicates.length < maxDuplicates) duplicates.push(tsn);
      return true;
    }
    ahead.add(tsn);
    let next = (last + 1) >>> 0;
    while (ahead.delete(next)) {
      engine.lastReceivedTsn = next;
      next = (next + 1) >>> 0;
    }
    return false;
  };
  const advance = engine.updateAdvancedPeerAckPoint.bind(engine);
  let told: ForwardTsn | undefined;
  let toldAt = -Infinity;
  engine.updateAdvancedPeerAckPoint = () => {
    engine.forwardTsnChunk = undefined;
    advance();
    const news = engine.forwardTsnChunk as ForwardTsn | undefined;
    if (((engine.advancedPeerAckTsn - engine.lastSackedTsn) | 0) <= 0) {
      told = undefined;
      return;
    }
    if (news !== undefined) {
      const streams = new Map([...(told?.streams ?? []), ...news.streams]);
      news.streams = [...streams];
      told = news;
    } else if (now() - toldAt < forwardTsnIntervalMs) {
      return;
    }
    // Again and again, until the peer is where it was told to be (RFC 3758 section 3.5).
    toldAt = now();
    engine.forwardTsnChunk = told;
  };
}

/** Every fragment of the chunk's message, also those that were not sent yet (RFC 3758 section 3.5, A3). */
function abandonMessage(engine: SctpEngine, chunk: SctpChunk): void {
  const { sentQueue, outboundQueue } = engine;
  let at = sentQueue.indexOf(chunk);
  while (at > 0 && ((sentQueue[at]?.flags ?? 0) & fragmentFlags.first) === 0) at--;
  for (; at < sentQueue.length; at++) {
    const fragment = sentQueue[at] as SctpChunk;
    if (fragment.acked !== true && fragment.retransmit !== true) {
      engine.flightSize = Math.max(0, engine.flightSize - fragment.bookSize);
    }
    giveUp(fragment);
    if ((fragment.flags & fragmentFlags.last) !== 0) return;
  }
  for (;;) {
    const fragment = outboundQueue.shift();
    if (fragment === undefined) return;
    giveUp(fragment);
    sentQueue.push(fragment);
    if ((fragment.flags & fragmentFlags.last) !== 0) return;
  }
}

function giveUp(chunk: SctpChunk): void {
  chunk.abandoned = true;
  chunk.retransmit = false;
  // It is in flight no more, and is not to be taken off a second time.
  chunk.bookSize = 0;
}
