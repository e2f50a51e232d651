export { libcAbsence, loadLibc, socketOption, type Libc } from './libc.ts';
export { loadOpenssl, opensslAbsence } from './openssl.ts';
export {
  loadOpensslTls,
  ticketKeyBytes,
  type OpensslTls,
  type TlsServerContext,
  type TlsServerOptions,
} from './openssl-tls.ts';
export { atEndOfTurn } from './shared.ts';
export { TcpConnection, type TcpHandlers } from './tcp-connection.ts';
export { TlsConnection, type TlsHandlers } from './tls-connection.ts';
export { UdpAddress, UdpAddressCache } from './udp-address.ts';
export {
  createUdpReceiver,
  createUdpSender,
  type UdpReceiveCounters,
  type UdpReceiver,
  type UdpSendCounters,
  type UdpSender,
} from './udp.ts';
