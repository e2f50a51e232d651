/** One session with an SFU of somebody else: its control channel, and the UDP socket that its tunnel's datagrams leave by. */
import { ControlSession, type RungMove } from '../../sfu/index.ts';
import {
  classifyDatagram,
  datagramClass,
  decodeSignalRequest,
  MediaLanes,
  SignalDecodeError,
  type CloseCode,
  type Path,
  type SignalEvent,
  type TransportAddress,
} from '../../tunnel-protocol/index.ts';
import type { CreateRelaySocket, RelaySocket, RelayTarget } from '../../turn/index.ts';
import type { UdpUpstreamCounters } from './udp-upstream.ts';

export interface RelayedSessionOptions {
  readonly id: string;
  readonly room: string;
  readonly identity: string;
  /** Peers that its token names; null: all that the edge allows. */
  readonly peers: readonly string[] | null;
  /** Where its tunnel's datagrams go; null: nowhere, and TURN alone can be used. */
  readonly target: TransportAddress | null;
  readonly epoch: number;
  readonly now: number;
}

export interface RelayedSessionDeps {
  readonly counters: UdpUpstreamCounters;
  readonly createRelaySocket: CreateRelaySocket;
  readonly now: () => number;
  /** The control channel is on this path now. */
  readonly taken: (path: Path, take: number) => void;
  readonly rungMoved: (move: RungMove) => void;
  /** The client left, or broke the protocol. */
  readonly ended: () => void;
}

export class RelayedSession {
  readonly id: string;
  readonly room: string;
  readonly identity: string;
  readonly peers: readonly string[] | null;
  /** When something was last seen to use it. */
  usedAt: number;
  readonly #target: TransportAddress | null;
  readonly #deps: RelayedSessionDeps;
  readonly #control: ControlSession;
  readonly #lanes = new MediaLanes();
  readonly #openedAt: number;
  #socket: RelaySocket | null = null;
  #sender: RelayTarget | null = null;
  #opening = false;
  #rung: Path['kind'] | null = null;
  #closed = false;

  constructor({ id, room, identity, peers, target, epoch, now }: RelayedSessionOptions, deps: RelayedSessionDeps) {
    this.id = id;
    this.room = room;
    this.identity = identity;
    this.peers = peers;
    this.usedAt = now;
    this.#openedAt = now;
    this.#target = target;
    this.#deps = deps;
    this.#control = new ControlSession(
      epoch,
      {
        onMessage: (text) => {
          this.#answer(text);
        },
        // It has no media path beside the tunnel that could be reported on.
        onReport: () => null,
        onOpen: () => undefined,
        onTaken: (path, take) => {
          this.#taken(path, take);
        },
        onLost: (path) => {
          path.owner = null;
        },
        onEnded: () => {
          deps.ended();
        },
      },
      deps.counters,
      now,
    );
  }

  /** Of the connection that carries it; null when there is none. */
  get rung(): Path['kind'] | null {
    return this.#control.path?.kind ?? null;
  }

  attach(path: Path): void {
    path.owner = this;
    this.#control.attach(path, this.#deps.now());
  }

  detach(path: Path): void {
    path.owner = null;
    this.#control.detach(path, this.#deps.now());
  }

  tick(now: number): void {
    if (this.#control.path !== null) this.usedAt = now;
    this.#control.tick(now);
  }

  /** Whatever came on a path that it was attached to. Runs for every datagram. */
  receive(path: Path, datagram: Uint8Array): void {
    const { counters, now } = this.#deps;
    switch (classifyDatagram(datagram)) {
      case datagramClass.control:
        this.#control.receive(path, datagram, now());
        return;
      case datagramClass.stun:
      case datagramClass.dtls:
      case datagramClass.rtp:
        if (path === this.#control.path) this.#toSfu(datagram);
        else counters.upstream_dropped_unowned++;
        return;
      default:
        counters.upstream_dropped_class++;
    }
  }

  /** Says why to the client, and lets go of everything. Idempotent. */
  close(code: CloseCode): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#control.close(code, this.#deps.now());
    this.#socket?.close();
    this.#socket = this.#sender = null;
  }

  #toSfu(datagram: Uint8Array): void {
    const { counters } = this.#deps;
    if (this.#sender === null) {
      // What comes until the socket is there is STUN, which is sent again.
      counters.upstream_dropped_early++;
      if (this.#target !== null) void this.#open(this.#target);
      return;
    }
    counters.upstream_sent++;
    this.#sender.send(datagram);
  }

  async #open(target: TransportAddress): Promise<void> {
    if (this.#opening || this.#closed) return;
    this.#opening = true;
    const { counters, createRelaySocket } = this.#deps;
    const ipv6 = target.address.includes(':');
    try {
      const socket = await createRelaySocket({
        family: ipv6 ? 'ipv6' : 'ipv4',
        address: ipv6 ? '::' : '0.0.0.0',
        port: 0,
        onMessage: (datagram, from) => {
          this.#fromSfu(datagram, from);
        },
        onError: () => counters.upstream_socket_errors++,
      });
      // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- it may have been closed meanwhile
      if (this.#closed) socket.close();
      else {
        this.#socket = socket;
        this.#sender = socket.target(target.address, target.port);
      }
    } catch {
      counters.upstream_socket_errors++;
    } finally {
      this.#opening = false;
    }
  }

  /** Runs for every datagram. None but the SFU is listened to, and nothing of it may pass for a control frame. */
  #fromSfu(datagram: Uint8Array, from: TransportAddress): void {
    const { counters } = this.#deps;
    const path = this.#control.path;
    if (from.port !== this.#target?.port || from.address !== this.#target.address) {
      counters.upstream_dropped_stranger++;
      return;
    }
    const kind = classifyDatagram(datagram);
    if (kind !== datagramClass.stun && kind !== datagramClass.dtls && kind !== datagramClass.rtp) {
      counters.upstream_dropped_class++;
    } else if (path === null) {
      counters.upstream_dropped_unowned++;
    } else {
      counters.upstream_received++;
      const copy = new Uint8Array(datagram);
      path.send(copy, this.#lanes.metaOf(copy));
    }
  }

  #taken(path: Path, take: number): void {
    const { taken, rungMoved, now } = this.#deps;
    const from = this.#rung;
    taken(path, take);
    if (from === path.kind) return;
    this.#rung = path.kind;
    rungMoved({ from, to: path.kind, reason: 'nominated', afterMs: now() - this.#openedAt });
  }

  /** There is nothing behind the signalling: the SFU has its own. */
  #answer(text: string): void {
    const request = decodeSignalRequest(text);
    const now = this.#deps.now();
    if (request instanceof SignalDecodeError) return;
    const { id, type } = request;
    const reply: SignalEvent =
      type === 'leave'
        ? { type: 'reply', id, ok: true, body: { of: 'leave' } }
        : { type: 'reply', id, ok: false, error: { code: 'third-party-sfu', message: noSignalling } };
    this.#control.send(JSON.stringify(reply), now);
    this.#control.flush(now);
    if (type === 'leave') this.#deps.ended();
  }
}

const noSignalling = 'This edge relays to an SFU of somebody else: its own signalling is to be used.';
