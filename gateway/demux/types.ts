/** What the demultiplexer takes and gives. */
import type { Server, Socket } from 'node:net';
import type { TlsOptions, TLSSocket } from 'node:tls';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import type { Libc, TlsConnection, TlsServerOptions } from '../libc/index.ts';

export interface DemuxConfig {
  /** From the connection to the first bytes that say what it is; a TLS handshake made here is included. */
  readonly openingTimeoutMs: number;
  /** Connections that have not said it yet. When there are more, the oldest is cut. */
  readonly maxOpenings: number;
  /** The same per client: an IPv4 address, or an IPv6 /64. When there are more, the newest is refused. */
  readonly maxOpeningsPerClient: number;
  /** Connections of all kinds, from when they have said what they are to their end. When there are more, the newest is refused. */
  readonly maxConnections: number;
  readonly maxConnectionsPerClient: number;
  /**
   * Addresses and CIDR blocks of load balancers. A connection from there must begin with a PROXY header (v1 or v2),
   * whose address counts; from elsewhere such a header is garbage.
   */
  readonly proxySenders: readonly string[];
  /** TCP_NOTSENT_LOWAT: what the kernel holds beyond what is on its way. 0 leaves the system's own setting. */
  readonly notSentLowWaterBytes: number;
  /**
   * How first bytes are looked at. `peek`: through libc, on Node's raw handles; `peek-public`: the same through Node's
   * public interface, at about 50 % more CPU per TLS connection; `read`: without libc, the bytes are read and put back.
   * `auto` takes the first that works.
   */
  readonly method: 'auto' | IntakeMethod;
}

export type IntakeMethod = 'peek' | 'peek-public' | 'read';

export const defaultDemuxConfig: DemuxConfig = {
  openingTimeoutMs: 5000,
  maxOpenings: 4096,
  maxOpeningsPerClient: 1024,
  maxConnections: 50_000,
  // A company behind one address is the common case here.
  maxConnectionsPerClient: 8192,
  proxySenders: [],
  notSentLowWaterBytes: 65_536,
  method: 'auto',
};

/**
 * Where connections go. Every callback gets a socket of which no byte has been read, from its point of view; it must
 * attach its listeners before it returns, and owns the socket from then on (an `error` listener is attached already,
 * which keeps the process alive and says nothing). `remote` is canonical, and is the client's own behind a load balancer.
 */
export interface DemuxHandlers {
  /** Gets TLS for HTTP/1.1, and plain HTTP, as descriptors. Null: `http1` serves these. */
  readonly uws: UwsHandler | null;
  /**
   * An `http.Server` or `https.Server` that does not listen; TLS is done before. It serves HTTP in TLS without ALPN,
   * clients behind a load balancer (uWebSockets.js cannot be told an address), and everything where `uws` is null.
   */
  readonly http1: Server;
  /** The same of `node:http2`. Null: h2 is not offered. */
  readonly h2: Server | null;
  readonly turnTcp: (socket: Socket, remote: TransportAddress) => void;
  readonly turnTls: (socket: TLSSocket, remote: TransportAddress) => void;
  /** `seen` is what the client has said; borrowed until it returns, when the connection's handlers have to be set. */
  readonly turnNativeTls: (connection: TlsConnection, remote: TransportAddress, seen: Uint8Array) => void;
  readonly iceTcp: (socket: Socket, remote: TransportAddress) => void;
}

/** The certificates of TLS that is done past Node. */
export interface NativeCertificates {
  /** One for each; the first is the default. */
  nativeOptions(): readonly Omit<TlsServerOptions, 'ticketKeys'>[];
  /** Which of them a client gets that asks for this name, or for none. */
  indexFor(serverName: string): number;
}

export interface UwsHandler {
  /** `SSLApp.adoptSocket` and `App.adoptSocket`. The descriptor is given away, and is open. The name is that of SNI, or empty. */
  readonly adoptTls: (fd: number, serverName: string) => void;
  readonly adoptPlain: (fd: number) => void;
  /**
   * Ports on 127.0.0.1 where the same apps listen, for `read`, where no descriptor can be had. Costs 1.6 to 2 times the
   * CPU per packet. The app sees an address of 127.64.0.0/10, for which {@link Demultiplexer.peerBehind} has the
   * client's. Absent: `http1` serves.
   */
  readonly splice?: { readonly tlsPort: (serverName: string) => number; readonly plainPort: number };
}

export interface DemuxDeps {
  /** `loadLibc()`; null is the fallback. */
  readonly libc: Libc | null;
  readonly handlers: DemuxHandlers;
  /** Certificate, key, versions, ciphers, SNICallback. ALPN, ticket keys and time-outs are set here. */
  readonly tls: TlsOptions;
  /** The same for TLS without ALPN, where OpenSSL can be called. Null: Node does that too. */
  readonly certificates: NativeCertificates | null;
}

/** What a connection turned out to be. `tls-other` is counted again as `turn-tls` or `tls-http1-late` when it is known. */
export const connectionKinds = [
  'tls-http1',
  'tls-h2',
  'tls-other',
  'tls-http1-late',
  'turn-tls',
  'plain-http',
  'turn-tcp',
  'ice-tcp',
] as const;
export type ConnectionKind = (typeof connectionKinds)[number];

/** Why a connection was closed before anybody got it. */
export const refusalReasons = [
  'unknown',
  'timed-out',
  'ended',
  'reset',
  'crowded',
  'crowded-client',
  'full',
  'full-client',
  'proxy-header',
  'tls-failed',
  'no-descriptor',
  'adopt-failed',
  'closing',
] as const;
export type RefusalReason = (typeof refusalReasons)[number];

export interface DemuxCounters {
  accepted: number;
  readonly kinds: Record<ConnectionKind, number>;
  readonly refused: Record<RefusalReason, number>;
  /** Descriptors given to uWebSockets.js. */
  adopted: number;
  spliced: number;
  /** Connections with a PROXY header. */
  proxied: number;
  /** Looks at a connection after the first, because bytes were missing. */
  retries: number;
  /** Connections in Node that were reset without its noticing. */
  missed: number;
}

export function newDemuxCounters(): DemuxCounters {
  const zeros = <K extends string>(names: readonly K[]): Record<K, number> =>
    Object.fromEntries(names.map((name) => [name, 0])) as Record<K, number>;
  return {
    accepted: 0,
    kinds: zeros(connectionKinds),
    refused: zeros(refusalReasons),
    adopted: 0,
    spliced: 0,
    proxied: 0,
    retries: 0,
    missed: 0,
  };
}

/** What first bytes lead to. */
export interface Route {
  readonly kind: 'tls-http1' | 'tls-h2' | 'tls-other' | 'http' | 'stun' | 'ice-tcp';
  /** That of SNI, or empty. */
  readonly serverName: string;
  /** Offers an application protocol (ALPN), or may do so. */
  readonly alpn: boolean;
  /** More has to come from the client before there is anything to answer. */
  readonly incomplete: boolean;
}

/** Who a connection is from. */
export interface Origin {
  readonly remote: TransportAddress;
  /** A load balancer said so; the socket itself tells the balancer's address. */
  readonly proxied: boolean;
}

/** A connection that was accepted, before anybody has it. Exactly one of the two methods is called, once. */
export interface Candidate {
  /** -1 where it must not be touched. */
  readonly fd: number;
  /** The socket with all its bytes. */
  socket(): Socket;
  /** Closes this process's descriptor, without a word to the peer if another one refers to the connection. */
  drop(): void;
}
