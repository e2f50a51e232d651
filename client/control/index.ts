export { ControlClient } from './control-client.ts';
export type {
  ControlClientEvents,
  ControlClientOptions,
  ReplyTo,
  RequestBody,
  SignalNotice,
} from './control-client.ts';
export { createSession, deleteSession } from './session-request.ts';
export type { FetchLike, IceServer, Session, SessionPolicy, SessionRequestOptions } from './session-request.ts';
export { tunnelSubprotocol, tunnelSubprotocols } from './tunnel-socket.ts';
export type { OpenTunnelSocket, TunnelClose, TunnelSocket } from './tunnel-socket.ts';
