/** What stands between here and the edge, before any rung is tried: names, certificates, proxies, portals. */
import { lookup } from 'node:dns/promises';
import { connect, isIPv4, isIPv6 } from 'node:net';
import { TLSSocket } from 'node:tls';
import { readInvitation } from '../../doctor/invitation.ts';
import type { Invitation } from '../../doctor/invitation.ts';
import type { CertificateFinding, Ipv6Finding } from '../../doctor/types.ts';
import { printable } from '../../control/problem.ts';
import { ClientError } from '../../errors.ts';
import { openEdgeSocket } from '../edge-socket.ts';
import { createEdgeHttp } from '../node-fetch.ts';
import type { EdgeHttp } from '../node-fetch.ts';
import type { ProxyRoute } from '../proxy-route.ts';
import { explainConnectionError } from '../tls-trust.ts';
import type { TlsTrust } from '../tls-trust.ts';

export interface SeenCertificate extends Omit<CertificateFinding, 'intercepted'> {
  readonly fingerprint: string;
}

/**
 * Asks the edge for a room to test in. Any certificate is accepted: what is asked is no secret, and to look behind an
 * interception is what a doctor is for. Rejects with a ClientError.
 */
export async function invite(url: string, route: ProxyRoute, signal: AbortSignal): Promise<Invitation> {
  const http = createEdgeHttp({ rejectUnauthorized: false }, route);
  try {
    return await unlessAborted(ask(url, http, signal), signal);
  } catch (error) {
    throw error instanceof ClientError ? error : explainConnectionError(error);
  } finally {
    void http.close();
  }
}

async function ask(url: string, http: EdgeHttp, signal: AbortSignal): Promise<Invitation> {
  const response = await http.fetch(new URL('/v1/doctor', url).href, {
    method: 'POST',
    headers: { accept: 'application/json' },
    body: '',
    signal,
    cache: 'no-store',
  });
  const body: unknown = await response.json();
  return readInvitation(response.status, body);
}

/** The certificate that this side sees; null for http:// and where TLS does not come up. */
export function seeCertificate(url: URL, trust: TlsTrust, route: ProxyRoute): Promise<SeenCertificate | null> {
  if (url.protocol !== 'https:') return Promise.resolve(null);
  const insecure = { ...trust, rejectUnauthorized: false };
  return new Promise((resolve) => {
    const target = {
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? 443 : Number(url.port),
      tls: { trust: insecure, alpn: ['http/1.1'] },
      proxy: { route, trust, secure: true },
    };
    openEdgeSocket(target, (socket) => {
      if (!(socket instanceof TLSSocket)) {
        resolve(null);
        return;
      }
      const { subject, issuer, fingerprint256 } = socket.getPeerCertificate();
      resolve({
        subject: nameOf(subject),
        issuer: nameOf(issuer),
        trusted: socket.authorized,
        fingerprint: fingerprint256,
      });
      socket.destroy();
    });
  });
}

/** Whether the edge's IPv6 address, if its name has one, takes a connection from here. */
export async function tryIpv6(url: URL, timeoutMs: number): Promise<Ipv6Finding> {
  const name = url.hostname.replace(/^\[|\]$/g, '');
  if (isIPv4(name)) return 'unknown';
  const addresses = isIPv6(name)
    ? [name]
    : await lookup(name, { all: true, family: 6 }).then(
        (found) => found.map(({ address }) => address),
        () => [],
      );
  const [address] = addresses;
  if (address === undefined) return 'edge-has-none';
  return new Promise((resolve) => {
    const socket = connect({ host: address, port: url.port === '' ? 443 : Number(url.port) });
    const done = (finding: Ipv6Finding): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(finding);
    };
    const timer = setTimeout(() => {
      done('not-from-here');
    }, timeoutMs);
    socket.once('connect', () => {
      done('works');
    });
    socket.once('error', () => {
      done('not-from-here');
    });
  });
}

/** Whatever the promise still waits for: networks hold on to things in more ways than one can think of. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = (): void => {
      reject(new ClientError('edge-unreachable', { detail: 'no answer in time' }));
    };
    if (signal.aborted) fail();
    signal.addEventListener('abort', fail, { once: true });
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', fail);
    });
  });
}

/** The names of a certificate are a hostile text. */
function nameOf(name: Readonly<Record<string, string | string[] | undefined>>): string {
  const parts = [name['CN'], name['O']].flat().filter((part) => part !== undefined && part !== '');
  return parts.length === 0 ? 'nobody that it names' : printable([...new Set(parts)].join(', '));
}
