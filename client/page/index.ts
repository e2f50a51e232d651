/** The client for browsers: `import { join } from 'sallyport/client/browser'`. */
export type {
  AttemptOutcome,
  Call,
  CallEvents,
  CallStats,
  DataEvent,
  JoinOptions,
  PublishOptions,
  PublishedTrack,
  RungAttempt,
  RungChange,
  RungReason,
  SendDataOptions,
  SubscribeOptions,
  TrackEvent,
  TrackStats,
} from '../call.ts';
export { ClientError, clientErrors } from '../errors.ts';
export type { ClientErrorCode } from '../errors.ts';
export { join } from './browser-call.ts';
export type {
  BrowserCall,
  BrowserCallEvents,
  BrowserCallStats,
  BrowserJoinOptions,
  JoinSplit,
  JoinStep,
} from './browser-call.ts';
export { mediaSupport } from './media-support.ts';
export type { MediaSupport } from './media-support.ts';
