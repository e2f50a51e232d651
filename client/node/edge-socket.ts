/** Connections to edges, for everything that runs on TCP: direct or through a proxy, plain or TLS. */
import { connect as connectTcp, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ProxyRoute } from './proxy-route.ts';
import { openTunnel } from './proxy-tunnel.ts';
import type { Cancel } from './proxy-tunnel.ts';
import { ClientError } from '../errors.ts';
import { CertificateFault, explainConnectionError } from './tls-trust.ts';
import type { TlsTrust } from './tls-trust.ts';

export interface SocketTarget {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** Null for plain TCP. */
  readonly tls: { readonly trust: TlsTrust; readonly alpn?: readonly string[] } | null;
  /** Absent: no proxy. */
  readonly proxy?: { readonly route: ProxyRoute; readonly trust: TlsTrust; readonly secure: boolean };
}

const openTimeoutMs = 10_000;

/**
 * Gives the connected socket, past its TLS handshake, or why there is none. `done` is called once, never before this
 * returns, and not after a cancel; it has to listen for `error` before it returns.
 */
export function openEdgeSocket(target: SocketTarget, done: (result: Socket | Error) => void): Cancel {
  let over = false;
  let cancel: Cancel = () => undefined;
  const finish = (result: Socket | Error): void => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    done(result);
  };
  const timer = setTimeout(() => {
    if (over) return;
    cancel();
    const detail = `no answer for ${host}:${String(port)} within ${String(openTimeoutMs / 1000)} s`;
    finish(tunnelling ? new ClientError('proxy-unreachable', { detail }) : new ConnectTimeout(detail));
  }, openTimeoutMs);
  const { host, port, tls, proxy } = target;
  let tunnelling = false;
  const carried = (socket: Socket | Error): void => {
    tunnelling = false;
    if (tls === null || socket instanceof Error) finish(socket);
    else if (!over) cancel = startTls(socket, host, port, tls, finish);
    else socket.destroy();
  };
  const via = proxy?.route({ host, port, secure: proxy.secure }) ?? null;
  if (via === null || proxy === undefined) {
    cancel = startTcp(host, port, carried);
  } else {
    tunnelling = true;
    cancel = openTunnel(
      {
        proxy: via,
        host,
        port,
        connect: (connected) =>
          openEdgeSocket(
            {
              host: via.host,
              port: via.port,
              tls: via.secure ? { trust: proxy.trust, alpn: ['http/1.1'] } : null,
            },
            (result) => {
              connected(result instanceof CertificateFault ? explainConnectionError(result.of('the proxy')) : result);
            },
          ),
      },
      carried,
    );
  }
  return () => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    cancel();
  };
}

class ConnectTimeout extends Error {
  readonly code = 'ETIMEDOUT';
}

function startTcp(host: string, port: number, done: (result: Socket | Error) => void): Cancel {
  const socket = connectTcp({ host, port });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 60_000);
  return onceUp(socket, 'connect', done, () => socket);
}

function startTls(
  socket: Socket,
  host: string,
  port: number,
  { trust, alpn }: { readonly trust: TlsTrust; readonly alpn?: readonly string[] },
  done: (result: Socket | Error) => void,
): Cancel {
  const secured = connectTls({
    socket,
    host,
    port,
    ...(trust.ca === undefined ? {} : { ca: trust.ca }),
    ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
    // RFC 6066 section 3: no IP addresses in SNI.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    // Checked below, before the socket is given to anybody: Node's own check throws away whose the certificate is.
    rejectUnauthorized: false,
  });
  socket.on('error', (error) => secured.destroy(error));
  return onceUp(secured, 'secureConnect', done, () => {
    if (secured.authorized || !trust.rejectUnauthorized) return secured;
    const { authorizationError } = secured;
    const code: unknown = authorizationError;
    const fault = new CertificateFault(
      typeof code === 'string' ? code : authorizationError.message,
      secured.getPeerCertificate().issuer,
    );
    secured.destroy();
    return fault;
  });
}

/** From here on somebody listens for errors, so that none between two owners ends the process. */
function onceUp(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  done: (result: Socket | Error) => void,
  check: () => Socket | Error,
): Cancel {
  let pending = true;
  let reason: Error | null = null;
  socket.on('error', (error) => {
    reason = error;
  });
  socket.once(event, () => {
    if (!pending) return;
    pending = false;
    done(check());
  });
  socket.once('close', () => {
    if (!pending) return;
    pending = false;
    done(reason ?? new Error('the connection was closed while it was being opened'));
  });
  return () => {
    pending = false;
    socket.destroy();
  };
}
