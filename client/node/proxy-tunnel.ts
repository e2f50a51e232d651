/** A connection through an HTTP proxy: CONNECT (RFC 9110 section 9.3.6), with proof of who we are where it is wanted. */
import { request } from 'node:http';
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import type { Socket } from 'node:net';
import { ClientError } from '../errors.ts';
import { clientVersion } from '../version.ts';
import { printable } from '../control/problem.ts';
import { schemesOf } from './proxy-auth.ts';
import type { Proxy } from './proxy-route.ts';

export interface TunnelRequest {
  readonly proxy: Proxy;
  readonly host: string;
  readonly port: number;
  /** A new connection to the proxy. */
  readonly connect: (done: (result: Socket | Error) => void) => Cancel;
}

/** Without effect once done. */
export type Cancel = () => void;

/** Without credentials, with them, and once more when a nonce has worn out. */
export const maxProxyTries = 3;
const maxHeadBytes = 16_384;

/**
 * Gives the socket, of which nothing was read, or a ClientError: `proxy-auth-required`, `proxy-refused`,
 * `proxy-unreachable`, `captive-portal`. `done` is called once, never before this returns, and not after a cancel.
 */
export function openTunnel(tunnel: TunnelRequest, done: (result: Socket | ClientError) => void): Cancel {
  let cancel: Cancel = () => undefined;
  const attempt = (tries: number): void => {
    cancel = connectOnce(tunnel, (result, refused) => {
      if (refused && tries < maxProxyTries) attempt(tries + 1);
      else done(result);
    });
  };
  attempt(1);
  return () => {
    cancel();
  };
}

/** One connection, one request: a proxy may close after 407, and what follows its head is not read. */
function connectOnce(
  { proxy, host, port, connect }: TunnelRequest,
  done: (result: Socket | ClientError, tryAgain: boolean) => void,
): Cancel {
  const authority = placeOf({ host, port });
  let settled = false;
  let end: Cancel = () => undefined;
  const settle = (result: Socket | ClientError, tryAgain = false): void => {
    if (settled) {
      if (!(result instanceof ClientError)) result.destroy();
      return;
    }
    settled = true;
    done(result, tryAgain);
  };
  const unreachable = (error: Error): void => {
    settle(explainProxyError(error, proxy));
  };
  end = connect((connected) => {
    if (connected instanceof Error) {
      unreachable(connected);
      return;
    }
    const authorization = proxy.auth.authorization('CONNECT', authority);
    const connection = startRequest(connected, {
      method: 'CONNECT',
      path: authority,
      headers: {
        host: authority,
        'user-agent': `sallyport/${clientVersion}`,
        connection: 'keep-alive',
        'proxy-connection': 'keep-alive',
        ...(authorization === null ? {} : { 'proxy-authorization': authorization }),
      },
    });
    if (connection instanceof Error) {
      connected.destroy();
      unreachable(connection);
      return;
    }
    end = () => {
      connection.destroy();
      connected.destroy();
    };
    connection.on('error', unreachable);
    connection.on('connect', (response, _, early) => {
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) {
        if (early.length > 0) connected.unshift(early);
        settle(connected);
        return;
      }
      connected.destroy();
      const challenge = status === 407 ? (response.headers['proxy-authenticate'] ?? []).toString() : null;
      const tryAgain = challenge !== null && proxy.auth.challenged(challenge, authorization);
      settle(refusal(proxy, authority, response, challenge), tryAgain);
    });
    connection.end();
  });
  return () => {
    if (settled) return;
    settled = true;
    end();
  };
}

/** An error where a header holds what HTTP does not admit, such as the name of a host that a server sent. */
function startRequest(socket: Socket, options: RequestOptions): ClientRequest | Error {
  try {
    return request({ ...options, setHost: false, maxHeaderSize: maxHeadBytes, createConnection: () => socket });
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function refusal(proxy: Proxy, authority: string, response: IncomingMessage, challenge: string | null): ClientError {
  const { statusCode = 0, statusMessage = '', headers } = response;
  if (challenge !== null) return authRefusal(proxy, challenge);
  const place = placeOf(proxy);
  const answer = `HTTP ${String(statusCode)} ${printable(statusMessage)}`.trim();
  if (statusCode === 511 || (statusCode >= 300 && statusCode < 400)) {
    const to = headers.location === undefined ? '' : `, to ${printable(headers.location)}`;
    return new ClientError('captive-portal', { detail: `the proxy ${place} answered ${answer}${to}` });
  }
  return new ClientError('proxy-refused', { detail: `CONNECT ${authority} at ${place}: ${answer}` });
}

/** `challenge`: the Proxy-Authenticate of the 407. */
export function authRefusal(proxy: Proxy, challenge: string): ClientError {
  const offers = `the proxy ${placeOf(proxy)} offers ${printable(schemesOf(challenge)) || 'no scheme at all'}`;
  return new ClientError('proxy-auth-required', {
    detail: proxy.auth.hasCredentials ? `${offers}; the name and password given were not accepted` : offers,
  });
}

/** Why the proxy cannot be spoken to. Faults of its certificate stay what they are, for other means help against them. */
export function explainProxyError(error: Error, proxy: Proxy): ClientError {
  if (error instanceof ClientError) return error;
  return new ClientError('proxy-unreachable', { cause: error, detail: `${placeOf(proxy)}: ${error.message}` });
}

/** `host:port`, as in URLs. */
export function placeOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host.includes(':') ? `[${host}]` : host}:${String(port)}`;
}
