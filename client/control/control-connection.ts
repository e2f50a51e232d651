/** One connection of a session, whatever carries it. It makes nothing again when it is lost; that is its owner's. */
import type { ControlRung, SendMeta } from '../../tunnel-protocol/index.ts';
import type { ClientErrorCode } from '../errors.ts';
import type { TunnelClose } from './tunnel-socket.ts';

/** None is called before the constructor of the connection has returned. */
export interface ControlConnectionEvents {
  /** Frames can be sent from now on. */
  opened(): void;
  /** Borrowed until the call returns. */
  frame(frame: Uint8Array): void;
  /** All frames that came together were delivered. */
  messageEnd(): void;
  /** Audio or video that was taken is dropped. Must not send. */
  dropped(meta: SendMeta): void;
  /** Once; nothing follows. Not called for a `close()` of the owner's. */
  closed(close: TunnelClose): void;
}

export interface ControlConnection {
  readonly rung: ControlRung;
  readonly open: boolean;
  /** Bits per second that the connection delivers, where that is less than what was to be sent lately; else null. */
  readonly deliveryRate: number | null;
  /** What seems to be wrong, before there is certainty; null when nothing does. */
  readonly suspicion: ClientErrorCode | null;
  /** The server has said, as this side has, that it credits what it receives. */
  agreeOnCredits(): void;
  /** A control frame: never dropped while the connection lives. Given away. */
  sendControl(frame: Uint8Array): void;
  /** Copied. False when it was dropped: not open, or no frame takes it. */
  sendDatagram(datagram: Uint8Array, meta: SendMeta): boolean;
  /** What was queued for the control channel is sent before. Idempotent. */
  close(wire: number, reason: string): void;
}

export type OpenConnection = (events: ControlConnectionEvents) => ControlConnection;
