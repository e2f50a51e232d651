export { libcAbsence, loadLibc, socketOption, type Libc } from './libc.ts';
export { loadOpenssl, opensslAbsence } from './openssl.ts';
export { atEndOfTurn } from './shared.ts';
export { TcpConnection, type TcpHandlers } from './tcp-connection.ts';
export { UdpAddress, UdpAddressCache } from './udp-address.ts';
export {
  createUdpReceiver,
  createUdpSender,
  type UdpReceiveCounters,
  type UdpReceiver,
  type UdpSendCounters,
  type UdpSender,
} from './udp.ts';
