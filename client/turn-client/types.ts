/** What the TURN client needs and tells. */
import type { HmacSha1, TransportAddress } from '../../tunnel-protocol/index.ts';

export interface TurnClientOptions {
  /** Long-term credentials (RFC 8489 section 9.2), as they stand in `iceServers`. */
  readonly username: string;
  readonly credential: string;
  /** Whether the connection to the server repeats by itself what is lost, as TCP and TLS do; messages are padded then. */
  readonly reliable: boolean;
  /** Who shall be reached: addresses of one and the same peer and family, best first. The first that is allowed is used. */
  readonly peers: readonly TransportAddress[];
  /** Cryptographically strong random bytes. */
  readonly random: (length: number) => Uint8Array;
  readonly hmacSha1: HmacSha1;
  /** 16 bytes (RFC 1321): the key of long-term credentials is made with it. */
  readonly md5: (data: Uint8Array) => Uint8Array;
}

export type TurnFailure =
  /** The server does not take the credentials (401 to a request with them, 441), or asks for none it can name. */
  | 'wrong-credentials'
  /** The quota of this user is used up (486). */
  | 'quota-reached'
  /** The server has no room, no port or no address (508). */
  | 'no-capacity'
  /** The server forbids to allocate at all (403). */
  | 'forbidden'
  /** The server relays to none of the peers (403). */
  | 'peer-forbidden'
  /** The server relays to no addresses of this family (440, 443). */
  | 'family-unsupported'
  /** Something else holds an allocation from this address and port (437): another socket may help. */
  | 'allocation-mismatch'
  /** The allocation is gone in mid-life (437). */
  | 'allocation-lost'
  /** The server sends clients elsewhere (300); nobody but the edge tells this client where to go. */
  | 'try-alternate'
  /** Any other error. */
  | 'refused'
  /** No answer for 39.5 s. */
  | 'unanswered'
  /** A success that says nothing usable. */
  | 'bad-answer';

export type TurnClientEvent =
  /** Datagrams can be sent to the peer from now on. `mapped`: this client as the server sees it. */
  | {
      readonly type: 'allocated';
      readonly relayed: TransportAddress;
      readonly mapped: TransportAddress | null;
      readonly lifetimeMs: number;
    }
  /** The peer is permitted, and datagrams go on a channel: 4 bytes each on top. Again only for another peer. */
  | { readonly type: 'bound'; readonly peer: TransportAddress }
  /** Once; nothing follows. `code`: the server's, where there is one. */
  | { readonly type: 'failed'; readonly reason: TurnFailure; readonly code: number | null };
