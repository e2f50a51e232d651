/** One real UDP socket of the SFU, as a gateway would hold it: temporary paths for strangers, kept ones once bound. */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import type { Path, SendMeta, TransportAddress } from '../../tunnel-protocol/index.ts';

export interface UdpHub {
  readonly port: number;
  readonly paths: ReadonlyMap<string, Path>;
  /** True loses the datagram on its way in, or out. */
  losesIncoming: (datagram: Uint8Array) => boolean;
  losesOutgoing: (datagram: Uint8Array, meta: SendMeta) => boolean;
  close(): Promise<void>;
}

export async function openUdpHub(receive: (path: Path, datagram: Uint8Array) => void): Promise<UdpHub> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const paths = new Map<string, Path>();
  const hub: UdpHub = {
    port: socket.address().port,
    paths,
    losesIncoming: () => false,
    losesOutgoing: () => false,
    close: () =>
      new Promise((resolve) => {
        socket.close(() => {
          resolve();
        });
      }),
  };
  socket.on('message', (datagram, { address, port }) => {
    const remote = { address, port };
    if (hub.losesIncoming(datagram)) return;
    receive(paths.get(`${address}:${String(port)}`) ?? udpPath(socket, hub, paths, remote), datagram);
  });
  return hub;
}

function udpPath(socket: Socket, hub: UdpHub, paths: Map<string, Path>, remote: TransportAddress): Path {
  const key = `${remote.address}:${String(remote.port)}`;
  const path: Path = {
    kind: 'udp',
    reliable: false,
    ordered: false,
    mtu: 1472,
    remote,
    owner: null,
    send: (datagram, meta) => {
      if (!hub.losesOutgoing(datagram, meta)) socket.send(datagram, remote.port, remote.address);
      return true;
    },
    bind: () => paths.set(key, path),
    unbind: () => paths.delete(key),
    close: () => paths.delete(key),
  };
  return path;
}
