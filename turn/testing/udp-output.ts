import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import type { TurnUdpSocket } from '../udp-link.ts';

/** A listener's socket that gives each datagram to a function, in memory of its own. */
export function udpOutput(
  local: TransportAddress,
  send: (datagram: Uint8Array, to: TransportAddress) => void,
): TurnUdpSocket {
  const output = {
    local,
    bytes: new Uint8Array(0),
    at: 0,
    open: (length: number) => {
      output.bytes = new Uint8Array(length);
      return true;
    },
    commit: (to: TransportAddress) => {
      send(output.bytes, to);
    },
  };
  return output;
}
