/**
 * Makes real WebRTC clients fast enough to load an SFU. Handshakes, checks and RTCP are theirs; only RTP is taken out of
 * their hands: what they send can be captured, protected and ready, to be sent in bursts later; what comes for them is read
 * by recvmmsg and counted, not decrypted. The SFU sees no difference: every packet carries real keys and real numbers.
 */
import dgram, { type RemoteInfo, type Socket } from 'node:dgram';
import { syncBuiltinESMExports } from 'node:module';
import { isRtcp, classifyDatagram, datagramClass, u16, u32 } from '../../tunnel-protocol/index.ts';
import { createUdpReceiver, createUdpSender, loadLibc, UdpAddress, type UdpSender } from '../../gateway/index.ts';

export interface Captured {
  readonly datagram: Uint8Array;
  readonly to: UdpAddress;
  readonly sender: UdpSender;
}

/** An RTP packet that came for one of the clients: by socket, sequence number and SSRC. */
export type OnPacket = (socket: number, sequenceNumber: number, ssrc: number) => void;
type Listener = (datagram: Uint8Array, remote: RemoteInfo) => void;

const libc = loadLibc();
const sockets: Socket[] = [];
const senders = new Map<Socket, UdpSender>();
let taken = 0;
let capturing: Captured[] | null = null;

/** Call it before anything opens a socket. */
export function installTap(): void {
  const create = dgram.createSocket.bind(dgram) as (...arguments_: unknown[]) => Socket;
  const tapped = (...arguments_: unknown[]): Socket => {
    const socket = create(...arguments_);
    sockets.push(socket);
    const send = socket.send.bind(socket) as (...arguments_: unknown[]) => void;
    const intercept = (datagram: Uint8Array, port: number, address: string, done?: (error: null) => void): void => {
      if (capturing === null || !isRtp(datagram)) {
        send(datagram, port, address, done);
        return;
      }
      const to = UdpAddress.parse('udp4', address, port);
      if (to !== null) capturing.push({ datagram: new Uint8Array(datagram), to, sender: senderOf(socket) });
      done?.(null);
    };
    socket.send = intercept as unknown as Socket['send'];
    return socket;
  };
  dgram.createSocket = tapped;
  syncBuiltinESMExports();
}

/** From now on RTP for the clients that are connected by now is counted. */
export function takeOver(onPacket: OnPacket): void {
  for (const socket of sockets.slice(taken)) {
    const index = taken++;
    if (!isOpen(socket)) continue;
    socket.setRecvBufferSize(4_194_304);
    const listeners = socket.listeners('message') as Listener[];
    socket.removeAllListeners('message');
    createUdpReceiver(socket, libc, (datagram, from) => {
      if (isRtp(datagram)) {
        onPacket(index, u16(datagram, 2), u32(datagram, 8));
        return;
      }
      const copy = Buffer.from(datagram);
      const remote = { address: from.address, port: from.port, family: 'IPv4', size: copy.length } as const;
      for (const listener of listeners) listener(copy, remote);
    });
  }
}

/** What RTP the clients send meanwhile is kept instead. */
export function startCapture(): void {
  capturing = [];
}

export function endCapture(): readonly Captured[] {
  const captured = capturing ?? [];
  capturing = null;
  return captured;
}

function senderOf(socket: Socket): UdpSender {
  const known = senders.get(socket);
  if (known !== undefined) return known;
  const sender = createUdpSender(socket, libc, { maxWaitingBytes: 8_388_608 });
  senders.set(socket, sender);
  return sender;
}

function isRtp(datagram: Uint8Array): boolean {
  return classifyDatagram(datagram) === datagramClass.rtp && !isRtcp(datagram);
}

function isOpen(socket: Socket): boolean {
  try {
    socket.address();
    return true;
  } catch {
    return false;
  }
}
