/** The Node client: `import { join } from 'sallyport/client'`. */
export type {
  AttemptOutcome,
  Call,
  CallEvents,
  CallStats,
  DataEvent,
  JoinOptions,
  ProxyOption,
  PublishOptions,
  PublishedTrack,
  RungAttempt,
  RungChange,
  RungReason,
  SendDataOptions,
  SubscribeOptions,
  TrackEvent,
  TrackStats,
} from './call.ts';
export * as capacity from './capacity/index.ts';
export type { DoctorReport, RungVerdict } from './doctor/types.ts';
export { ClientError, clientErrors } from './errors.ts';
export type { ClientErrorCode } from './errors.ts';
export { ClipSource, IvfRecorder, OpusRecorder, loadClip } from './media/index.ts';
export type { Clip } from './media/index.ts';
export { diagnose } from './node/doctor/doctor.ts';
export type { DoctorOptions } from './node/doctor/doctor.ts';
export { join } from './node/join.ts';
export type { JoinStep, NodeJoinOptions } from './node/join.ts';
export type { LadderEvent } from './node/ladder-log.ts';
export type { NodeCall } from './node/node-call.ts';
export type { Evidence } from './node/path-evidence.ts';
export { createPathMemory } from './node/path-memory.ts';
export type { PathMemory, RememberedPath } from './node/path-memory.ts';
export { TurnTunnel } from './node/turn-tunnel.ts';
export type { TurnTunnelEvents, TurnTunnelOptions } from './node/turn-tunnel.ts';
