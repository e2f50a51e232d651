/** A path that an edge has to a peer, as the SFU node at the other end of the trunk sees it. */
import {
  encodeTrunkControl,
  encodeTrunkReason,
  lane,
  noRate,
  packMeta,
  rungs,
  trunkType,
  unpackMeta,
  type Path,
  type Rung,
  type SendMeta,
  type TransportAddress,
} from '../../tunnel-protocol/index.ts';
import type { DropListener, TrunkStream } from './trunk-stream.ts';

/** What an edge says of a path as it opens the flow. */
export interface PathDescription {
  readonly kind: Rung;
  readonly reliable: boolean;
  readonly ordered: boolean;
  readonly mtu: number;
  readonly remote: TransportAddress;
  /** Whose control channel it carries; null: anybody may prove it by ICE. */
  readonly session: string | null;
}

/** Null when it is not one. */
export function readPathDescription(value: Readonly<Record<string, unknown>> | null): PathDescription | null {
  if (value === null) return null;
  const { kind, reliable, ordered, mtu, address, port, session } = value;
  const rung = rungs.find((known) => known === kind);
  if (rung === undefined || typeof reliable !== 'boolean' || typeof ordered !== 'boolean') return null;
  if (typeof mtu !== 'number' || typeof address !== 'string' || typeof port !== 'number') return null;
  if (session !== null && typeof session !== 'string') return null;
  return { kind: rung, reliable, ordered, mtu, remote: { address, port }, session };
}

export class TrunkPath implements Path, DropListener {
  readonly kind: Rung;
  readonly reliable: boolean;
  readonly ordered: boolean;
  readonly mtu: number;
  readonly remote: TransportAddress;
  readonly session: string | null;
  owner: unknown = null;
  onDrop: ((meta: SendMeta) => void) | null = null;
  deliveryRate: number | null = null;
  readonly #flow: number;
  #stream: TrunkStream;
  readonly #ended: (flow: number) => void;
  #open = true;

  constructor(description: PathDescription, flow: number, stream: TrunkStream, ended: (flow: number) => void) {
    this.kind = description.kind;
    this.reliable = description.reliable;
    this.ordered = description.ordered;
    this.mtu = description.mtu;
    this.remote = description.remote;
    this.session = description.session;
    this.#flow = flow;
    this.#stream = stream;
    this.#ended = ended;
  }

  get stream(): TrunkStream {
    return this.#stream;
  }

  /** The one it was on is lost. */
  moveTo(stream: TrunkStream): void {
    this.#stream = stream;
  }

  send(datagram: Uint8Array, meta: SendMeta): boolean {
    return this.#open && this.#stream.sendDatagram(this.#flow, packMeta(meta), datagram, meta, this);
  }

  /** The trunk dropped what `send` took. */
  dropped(meta: SendMeta): void {
    if (this.#open && meta.lane >= lane.audio) this.onDrop?.(meta);
  }

  bind(): void {
    if (this.#open && this.session === null) this.#tell(encodeTrunkControl(trunkType.bind, [this.#flow]));
  }

  unbind(): void {
    if (!this.#open || this.session !== null) return;
    this.#tell(encodeTrunkControl(trunkType.unbind, [this.#flow]));
    this.end();
  }

  close(code: number, reason: string): void {
    if (!this.#open) return;
    const rest = new Uint8Array([code >>> 8, code & 255, ...encodeTrunkReason(reason)]);
    this.#tell(encodeTrunkControl(trunkType.close, [this.#flow], rest));
    this.end();
  }

  /** From the edge: it dropped what the trunk delivered. */
  droppedAtEdge(packedMeta: number): void {
    if (this.#open) this.onDrop?.(unpackMeta(packedMeta));
  }

  /** From the edge. */
  rateAtEdge(kilobits: number): void {
    this.deliveryRate = kilobits === noRate ? null : kilobits * 1000;
  }

  /** Nothing comes or goes any more. */
  end(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#ended(this.#flow);
  }

  #tell(frame: Uint8Array): void {
    this.#stream.sendControl(frame);
  }
}
