/** Datagrams that carry when they were sent, by the clock that the processes of a machine share. */
import { percentile, quantiles } from '../harness/statistics.ts';
import { machineNow } from './media-packets.ts';

export interface Ages {
  readonly received: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** By {@link quantiles}; empty when nothing came. */
  readonly quantilesMs: readonly number[];
}

/** Behind an RTP header. */
const timeOffset = 12;

export class AgeLog {
  readonly #ages: number[] = [];

  /** Borrowed; what bears no time counts for nothing. */
  take(datagram: Uint8Array): void {
    if (datagram.length < timeOffset + 8) return;
    const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
    const sentAt = view.getFloat64(timeOffset);
    if (sentAt > 0) this.#ages.push(machineNow() - sentAt);
  }

  ages(): Ages {
    const sorted = this.#ages.sort((a, b) => a - b);
    if (sorted.length === 0) return { received: 0, p50Ms: 0, p99Ms: 0, quantilesMs: [] };
    return {
      received: sorted.length,
      p50Ms: percentile(sorted, 0.5),
      p99Ms: percentile(sorted, 0.99),
      quantilesMs: quantiles(sorted),
    };
  }
}

/** Sends a datagram of so many bytes per interval; the returned function ends it and tells how many there were. */
export function sendPaced(bytes: number, intervalMs: number, send: (datagram: Uint8Array) => void): () => number {
  let sent = 0;
  const timer = setInterval(() => {
    const datagram = new Uint8Array(bytes);
    // Neither STUN nor DTLS (RFC 7983).
    datagram[0] = 0x80;
    new DataView(datagram.buffer).setFloat64(timeOffset, machineNow());
    sent++;
    send(datagram);
  }, intervalMs);
  return () => {
    clearInterval(timer);
    return sent;
  };
}
