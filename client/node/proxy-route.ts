/** Which connections go through an HTTP proxy: the `proxy` option, or the environment as curl and its like read it. */
import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';
import type { ProxyOption } from '../call.ts';
import { ClientError } from '../errors.ts';
import { ProxyAuthenticator } from './proxy-auth.ts';

export interface Proxy {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** The connection to the proxy itself is TLS. */
  readonly secure: boolean;
  /** Learns what the proxy asks for; shared by all connections through it. */
  readonly auth: ProxyAuthenticator;
}

export interface RouteTarget {
  readonly host: string;
  readonly port: number;
  /** False for plain HTTP and WebSocket; everything else, TURN and ICE-TCP as well, goes by the proxy of HTTPS. */
  readonly secure: boolean;
}

/** The proxy for a connection; null for a direct one. */
export type ProxyRoute = (target: RouteTarget) => Proxy | null;

export type Environment = Readonly<Record<string, string | undefined>>;

export const directRoute: ProxyRoute = () => null;

/**
 * An option with a URL overrides the environment as a whole, `NO_PROXY` too. Of each variable the lower-case name
 * comes first, and an empty value counts as none. Throws ClientError `bad-option`.
 */
export function proxyRoute(option: ProxyOption | undefined, environment: Environment): ProxyRoute {
  if (option === false) return directRoute;
  const { url, ...given } = typeof option === 'object' ? option : { url: option };
  if (url !== undefined) {
    const proxy = parseProxy(url, 'proxy', given);
    return () => proxy;
  }
  const secure = fromEnvironment(environment, ['https_proxy', 'HTTPS_PROXY'], given);
  // A CGI script's HTTP_PROXY is its caller's Proxy header, not the administrator's word.
  const isCgi = environment['REQUEST_METHOD'] !== undefined;
  const plain = fromEnvironment(environment, isCgi ? ['http_proxy'] : ['http_proxy', 'HTTP_PROXY'], given);
  if (secure === null && plain === null) return directRoute;
  const excepted = parseNoProxy(environment['no_proxy'] || environment['NO_PROXY'] || '');
  return (target) => (excepted(target.host, target.port) ? null : target.secure ? secure : plain);
}

/**
 * What stands in NO_PROXY: names (with all below them, a leading dot or not), addresses, networks such as 10.0.0.0/8, each
 * with a port if only that one is meant; `*` alone means everything. Entries that make no sense match nothing.
 */
export function parseNoProxy(text: string): (host: string, port: number) => boolean {
  const entries = text.toLowerCase().split(/[\s,]+/);
  if (text.trim() === '*') return () => true;
  const tests = entries.filter((entry) => entry !== '').map(parseEntry);
  return (host, port) => {
    const plain = host.toLowerCase().replace(/^\[|\]$|\.$/g, '');
    return tests.some((test) => test(plain, port));
  };
}

type HostTest = (host: string, port: number) => boolean;

function parseEntry(entry: string): HostTest {
  const network = /^\[?([0-9a-f.:]+)\]?\/(\d{1,3})$/.exec(entry);
  if (network !== null) return inNetwork(network[1] ?? '', Number(network[2]));
  if (isIPv6(entry)) return inNetwork(entry, 128);
  const parts = /^(\[[0-9a-f:.]+\]|[^:]+)(?::(\d+))?$/.exec(entry);
  if (parts === null) return () => false;
  const name = (parts[1] ?? '').replace(/^\[|\]$|^\.|\.$/g, '');
  const onlyPort = parts[2] === undefined ? null : Number(parts[2]);
  const isHost: HostTest = isIPv6(name)
    ? inNetwork(name, 128)
    : isIPv4(name)
      ? (host) => host === name
      : (host) => host === name || (isIP(host) === 0 && host.endsWith(`.${name}`));
  return (host, port) => (onlyPort === null || onlyPort === port) && isHost(host, port);
}

function inNetwork(address: string, bits: number): HostTest {
  const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : null;
  if (family === null || bits > (family === 'ipv4' ? 32 : 128)) return () => false;
  const list = new BlockList();
  list.addSubnet(address, bits, family);
  return (host) => (family === 'ipv4' ? isIPv4(host) : isIPv6(host)) && list.check(host, family);
}

interface GivenCredentials {
  readonly username?: string;
  readonly password?: string;
}

function fromEnvironment(environment: Environment, names: readonly string[], given: GivenCredentials): Proxy | null {
  for (const name of names) {
    const value = environment[name];
    if (value !== undefined && value !== '') return parseProxy(value, name, given);
  }
  return null;
}

function parseProxy(text: string, where: string, { username, password }: GivenCredentials): Proxy {
  let url: URL;
  try {
    url = new URL(text.includes('://') ? text : `http://${text}`);
  } catch {
    // The text may hold a password: it is not repeated, nor is the error that holds it.
    throw new ClientError('bad-option', { detail: `${where}: not an address such as http://proxy.example:3128` });
  }
  const secure = url.protocol === 'https:';
  if (!secure && url.protocol !== 'http:') {
    throw new ClientError('bad-option', { detail: `${where}: only http:// and https:// proxies are supported` });
  }
  const user = username ?? decode(url.username);
  const secret = password ?? decode(url.password);
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
    secure,
    auth: new ProxyAuthenticator(user === '' ? null : { username: user, password: secret }),
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
