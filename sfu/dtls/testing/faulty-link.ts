/** One direction of a network that does to datagrams what it is told. */
import type { DtlsClock } from '../../../tunnel-protocol/index.ts';

/** When each copy of a datagram arrives, in ms after it was sent; empty: it is lost. */
export type Fault = (datagram: Uint8Array, index: number) => readonly number[];

export class FaultyLink {
  readonly sent: Uint8Array[] = [];
  readonly #clock: DtlsClock;
  readonly #fault: Fault;
  readonly #deliver: (datagram: Uint8Array) => void;

  constructor(clock: DtlsClock, fault: Fault, deliver: (datagram: Uint8Array) => void) {
    this.#clock = clock;
    this.#fault = fault;
    this.#deliver = deliver;
  }

  readonly send = (datagram: Uint8Array): void => {
    this.sent.push(datagram);
    for (const delay of this.#fault(datagram, this.sent.length - 1)) {
      const copy = datagram.slice();
      this.#clock.setTimer(() => {
        this.#deliver(copy);
      }, delay);
    }
  };
}

export const latency =
  (ms: number): Fault =>
  () => [ms];

/** Every datagram once more, 10 ms later. */
export const doubled =
  (inner: Fault): Fault =>
  (datagram, index) =>
    inner(datagram, index).flatMap((delay) => [delay, delay + 10]);

/** Of four datagrams that leave together the last arrives first. */
export const reordered =
  (inner: Fault): Fault =>
  (datagram, index) =>
    inner(datagram, index).map((delay) => delay + 15 - 5 * (index % 4));

/** Whatever is sent for the first time is lost; what says the same again arrives, although its records are new ones. */
export function eachLostOnce(inner: Fault): Fault {
  const seen = new Set<string>();
  return (datagram, index) => {
    const said = contents(datagram);
    if (seen.has(said)) return inner(datagram, index);
    seen.add(said);
    return [];
  };
}

/** A datagram without what retransmission changes: record numbers, and protected bytes. */
function contents(datagram: Uint8Array): string {
  const view = Buffer.from(datagram);
  let text = '';
  for (let at = 0; at + 13 <= view.length;) {
    const epoch = view.readUInt16BE(at + 3);
    const length = view.readUInt16BE(at + 11);
    const body = epoch === 0 ? view.toString('hex', at + 13, at + 13 + length) : String(length);
    text += `${String(view[at])}/${String(epoch)}/${body};`;
    at += 13 + length;
  }
  return text;
}
