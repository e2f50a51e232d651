/** Opens the UDP ports of an edge, so that they fit its TCP port. */
import type { Config } from './config.ts';
import { ListenError, probePort } from './engine/index.ts';
import { listenOnAll, mediaPort, publicPort, turnPort, withAdvice } from './listeners.ts';
import { addressesForUdp, localAddresses } from './local-addresses.ts';

/** Returns the port. Rejects with ListenError. */
type Listen = (addresses: readonly string[], port: number) => Promise<number>;

const attempts = 10;

/**
 * Opens the media port, with the number of the TCP port unless it has one of its own. Where the system chooses, one
 * that is free for both is looked for; `tcp` is then to be listened on. Rejects with StartError.
 */
export async function openMediaPort(
  { hosts, port, udpPort }: Config,
  listen: Listen,
): Promise<{ readonly udp: number; readonly tcp: number }> {
  const addresses = addressesForUdp(hosts, localAddresses());
  for (let attempt = 1; ; attempt++) {
    const tcp = port === 0 ? await withAdvice(publicPort, () => listenOnAll(hosts, 0, probePort)) : port;
    const wanted = port === 0 && udpPort === 0 ? tcp : udpPort;
    try {
      return { udp: await withAdvice(mediaPort, () => listen(addresses, wanted)), tcp };
    } catch (error) {
      const taken = error instanceof Error && error.cause instanceof ListenError && error.cause.code === 'EADDRINUSE';
      if (!taken || port !== 0 || udpPort !== 0 || attempt === attempts) throw error;
    }
  }
}

/** Opens TURN's own port. Returns 0 where it is turned off. Rejects with StartError. */
export async function openTurnPort({ hosts, turnUdpPort }: Config, listen: Listen): Promise<number> {
  if (turnUdpPort === 0) return 0;
  return withAdvice(turnPort, () => listen(addressesForUdp(hosts, localAddresses()), turnUdpPort));
}
