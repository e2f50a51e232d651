/** A path carries a transport's datagrams: everything in Sallyport is a datagram on a path. */

/** The rungs of the ladder, best first. */
export const rungs = [
  'udp',
  'turn-udp',
  'ice-tcp',
  'turn-tcp',
  'turn-tls',
  'websocket',
  'http-stream',
  'long-poll',
] as const;
export type Rung = (typeof rungs)[number];

/** The rungs that can also carry a session's control channel. */
export const controlRungs = ['websocket', 'http-stream', 'long-poll'] as const;
export type ControlRung = (typeof controlRungs)[number];

/** Order in which a congested path serves its datagrams: lower first. */
export const lane = { control: 0, transport: 1, audio: 2, video: 3 } as const;
export type Lane = (typeof lane)[keyof typeof lane];

/** What only the sender knows of a datagram; a path that drops decides by it. */
export interface SendMeta {
  readonly lane: Lane;
  /** Groups the packets of one video frame; 0 where frames do not matter. */
  readonly frameId: number;
  readonly keyFrame: boolean;
  /** True when nothing later depends on this datagram. */
  readonly discardable: boolean;
  /** Age in ms at which the datagram is worthless. 0: never; for audio and video, what the path has as its default. */
  readonly deadlineMs: number;
}

/** STUN, DTLS, RTCP: small, never dropped for age. */
export const transportMeta: SendMeta = {
  lane: lane.transport,
  frameId: 0,
  keyFrame: false,
  discardable: false,
  deadlineMs: 0,
};

/**
 * Data channels: behind audio, beside video, and worthless after a time in which SCTP has long sent the packet again. What a
 * path drops of it looks to SCTP like loss, which slows its sender down.
 */
export const dataMeta: SendMeta = {
  lane: lane.video,
  frameId: 0,
  keyFrame: false,
  discardable: true,
  deadlineMs: 3000,
};

export interface TransportAddress {
  /** Canonical text form: dotted IPv4, or IPv6 per RFC 5952 without a zone. */
  readonly address: string;
  readonly port: number;
}

export interface PathProperties {
  readonly kind: Rung;
  /** Delivers everything it accepted: no NACK, no RTX on it. */
  readonly reliable: boolean;
  readonly ordered: boolean;
  /** Largest datagram it carries, in bytes. */
  readonly mtu: number;
}

/**
 * One way to reach a peer. The gateway makes paths; whoever receives their datagrams (the SFU) binds them.
 * A path of an unknown UDP source is a temporary object: it stays known only if `bind` is called while its first
 * datagram is handled, so an unauthenticated source leaves nothing behind.
 */
export interface Path extends PathProperties {
  /** The peer as this end sees it; for tunnels the address of the tunnel's connection. */
  readonly remote: TransportAddress;
  /** Whom the path belongs to once it is bound. Set by the receiver alone; its only state on the path. */
  owner: unknown;
  /**
   * Set by the owner: told of every audio and video datagram that `send` took and the path has dropped since, which may
   * be while `send` of this very path runs. It must not throw, nor send on this path.
   */
  onDrop?: ((meta: SendMeta) => void) | null;
  /**
   * Bits per second that the path delivers, where it measures that; null while it takes what is sent. Read it now and
   * then: it is looked up, not kept.
   */
  readonly deliveryRate?: number | null;
  /**
   * Sends one datagram. The bytes are given away: the caller must not touch them again.
   * Returns false when the path is closed or dropped the datagram at once (counted by the path).
   */
  send(datagram: Uint8Array, meta: SendMeta): boolean;
  /**
   * As `send`, of `length` bytes that stand at `at` in memory which the caller keeps and uses again. On paths that copy
   * what they take anyway.
   */
  sendFrom?(memory: Uint8Array, at: number, length: number, meta: SendMeta): boolean;
  /** The receiver keeps this path: datagrams of its source now come with this very object. */
  bind(): void;
  /** The receiver lets go. Idempotent. A tunnel stays open: its owner closes it with `close`. */
  unbind(): void;
  /** Ends the path; a tunnel's connection is closed. Idempotent. */
  close(code: number, reason: string): void;
}
