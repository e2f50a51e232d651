/** Which addresses to listen on, and what to say when it cannot be done. */
import { isWildcard } from './addresses.ts';
import { ListenError } from './engine/index.ts';

/** A port could not be had; the message says what to do. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

/** The settings that move a port elsewhere. */
export interface PortSettings {
  readonly what: string;
  readonly portSetting: string;
  readonly hostSetting: string;
  /** What does without the port. */
  readonly offBy?: string;
}

export const publicPort: PortSettings = {
  what: 'the public TCP port',
  portSetting: 'SALLYPORT_PORT',
  hostSetting: 'SALLYPORT_HOST',
};
export const mediaPort: PortSettings = {
  what: 'the UDP port',
  portSetting: 'SALLYPORT_UDP_PORT',
  hostSetting: 'SALLYPORT_HOST',
};
export const turnPort: PortSettings = {
  what: 'the UDP port of TURN',
  portSetting: 'SALLYPORT_TURN_UDP_PORT',
  hostSetting: 'SALLYPORT_HOST',
  offBy: 'SALLYPORT_TURN_UDP_PORT=0',
};
export const adminPort: PortSettings = {
  what: 'the admin port',
  portSetting: 'SALLYPORT_ADMIN_PORT',
  hostSetting: 'SALLYPORT_ADMIN_HOST',
};

export const trunkPort: PortSettings = {
  what: 'the trunk port',
  portSetting: 'SALLYPORT_TRUNK_PORT',
  hostSetting: 'SALLYPORT_TRUNK_HOST',
};

/** Runs `listen`, and turns what went wrong with the system's listener into one line for a person. */
export async function withAdvice<T>(settings: PortSettings, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen();
  } catch (error) {
    if (error instanceof ListenError) throw new StartError(advice(settings, error), { cause: error });
    throw error;
  }
}

function advice({ what, portSetting, hostSetting, offBy }: PortSettings, { code, address, port }: ListenError): string {
  const start = `${what}, ${String(port)} on ${address},`;
  switch (code) {
    case 'EADDRINUSE':
      return `${start} is taken by another program: stop that one, or choose another port, such as ${portSetting}=${String(freeSuggestion(port))}${offBy === undefined ? '' : `, or none by ${offBy}`}`;
    case 'EACCES':
      return `${start} may not be opened by this user: ports below 1024 need CAP_NET_BIND_SERVICE, or choose another one by ${portSetting}`;
    case 'EADDRNOTAVAIL':
      return `${start} cannot be opened because this machine does not have that address: correct ${hostSetting}`;
    default:
      return `${start} cannot be opened (${code}); see ${portSetting} and ${hostSetting}`;
  }
}

function freeSuggestion(port: number): number {
  return port + 1000 <= 65_535 ? port + 1000 : port - 1000;
}

/**
 * Listens on each host, with the same port; 0 lets the system choose it. The IPv6 wildcard takes IPv4 as well, and
 * stands for both wildcards; where there is no IPv6, the IPv4 wildcard does. A host that this machine does not have is
 * passed over as long as another one is there.
 */
export async function listenOnAll(
  hosts: readonly string[],
  port: number,
  listen: (address: string, port: number) => Promise<number>,
): Promise<number> {
  let bound = port;
  let opened = 0;
  let missing: ListenError | null = null;
  for (const address of tcpAddresses(hosts)) {
    if (opened > 0 && address === '0.0.0.0' && hosts.includes('::')) continue;
    try {
      bound = await listen(address, bound);
      opened++;
    } catch (error) {
      if (!(error instanceof ListenError) || !absent.has(error.code)) throw error;
      missing = error;
    }
  }
  if (opened === 0) throw missing ?? new ListenError('EADDRNOTAVAIL', 'no address', port);
  return bound;
}

/** Codes of an address, or a whole address family, that is not there. */
const absent = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL']);

/** With a wildcard, other addresses of its family are covered. The IPv6 wildcard comes first. */
function tcpAddresses(hosts: readonly string[]): readonly string[] {
  if (hosts.includes('::')) return ['::', '0.0.0.0'].filter((host) => hosts.includes(host));
  if (hosts.includes('0.0.0.0')) return hosts.filter((host) => isWildcard(host) || host.includes(':'));
  return hosts;
}
