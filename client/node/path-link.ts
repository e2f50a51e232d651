/** A connection or an allocation that carries one path's datagrams. When it is lost, its owner makes another one. */

export interface PathLink {
  /** The bytes are given away. False when dropped: not open, or the connection does not keep up. */
  send(datagram: Uint8Array): boolean;
  /** No event follows. Idempotent. */
  close(): void;
}

/** None is called before the link's constructor has returned. */
export interface PathLinkEvents {
  /** Datagrams can be sent from now on. */
  opened(): void;
  /** Borrowed until the call returns. */
  datagram(datagram: Uint8Array): void;
  /** Once; nothing follows. The reason is for people, and short: `ECONNREFUSED`, `wrong-credentials (401)`. */
  failed(reason: string): void;
}
