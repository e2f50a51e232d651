/** Signalling as the client's code sees it: ids of requests are the control channel's. */
import type { SignalEvent, SignalReplyBody, SignalRequest } from '../../tunnel-protocol/index.ts';

/** Signalling events other than the replies to requests. What `participants` says comes as the single events it stands for. */
export type SignalNotice = Exclude<SignalEvent, { type: 'reply' | 'participants' }>;

/** A request without its id, which the client gives. */
export type RequestBody<T extends SignalRequest['type'] = SignalRequest['type']> = T extends unknown
  ? Omit<Extract<SignalRequest, { type: T }>, 'id'>
  : never;

export type ReplyTo<T extends SignalRequest['type']> = T extends 'join' | 'offer'
  ? Extract<SignalReplyBody, { of: T }>
  : Exclude<SignalReplyBody, { of: 'join' } | { of: 'offer' }>;
