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
  /** While true, everything from the clients is dropped; what the edge sends arrives. */
  upDown: boolean;
  /** The share that is dropped, of each way: evenly at random, and the same in every run. */
  loss: number;
  /** Datagrams that came, either way, dropped ones included. */
  readonly datagrams: number;
  close(): void;
}

export async function startUdpRelay(edgeAddress: string, udpPort: number): Promise<UdpRelay> {
  const outside = createSocket('udp4');
  const insides = new Map<string, Socket>();
  const relay = { down: false, upDown: false, loss: 0, datagrams: 0 };
  const random = seeded(1);
  const drops = (): boolean => relay.down || (relay.loss > 0 && random() < relay.loss);
  outside.on('message', (datagram, client) => {
    relay.datagrams += 1;
    if (relay.upDown || drops()) return;
    const key = `${client.address} ${String(client.port)}`;
    let inside = insides.get(key);
    if (inside === undefined) {
      inside = createSocket('udp4');
      inside.on('message', (answer) => {
        relay.datagrams += 1;
        if (!drops()) outside.send(answer, client.port, client.address);
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

/** Numbers in [0, 1), by a linear congruential generator (Knuth's MMIX constants, upper half). */
function seeded(seed: number): () => number {
  let state = BigInt(seed);
  return () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffff_ffff_ffff_ffffn;
    return Number(state >> 32n) / 2 ** 32;
  };
}
