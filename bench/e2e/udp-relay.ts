/**
 * A UDP network between Node clients and an edge on loopback, which can be made to fail. The edge names the relay's address
 * (`SALLYPORT_PUBLIC_ADDRESS`) in its candidates; the relay listens there on the edge's own UDP port number.
 */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';

/** A second loopback address: Linux answers on all of 127/8. */
export const relayAddress = '127.0.0.2';

export interface UdpRelay {
  /** While true, everything is dropped. */
  down: boolean;
  /** Datagrams that came, either way, dropped ones included. */
  readonly datagrams: number;
  close(): void;
}

export async function startUdpRelay(edgeAddress: string, udpPort: number): Promise<UdpRelay> {
  const outside = createSocket('udp4');
  const insides = new Map<string, Socket>();
  const relay = { down: false, datagrams: 0 };
  outside.on('message', (datagram, client) => {
    relay.datagrams += 1;
    if (relay.down) return;
    const key = `${client.address} ${String(client.port)}`;
    let inside = insides.get(key);
    if (inside === undefined) {
      inside = createSocket('udp4');
      inside.on('message', (answer) => {
        relay.datagrams += 1;
        if (!relay.down) outside.send(answer, client.port, client.address);
      });
      insides.set(key, inside);
    }
    inside.send(datagram, udpPort, edgeAddress);
  });
  outside.bind(udpPort, relayAddress);
  await once(outside, 'listening');
  return Object.assign(relay, {
    close: () => {
      outside.close();
      for (const inside of insides.values()) inside.close();
    },
  });
}
