/**
 * Decodes signalling messages of an untrusted peer. Every field is checked, unknown fields are dropped, and what comes
 * out is built afresh: nothing of the peer's objects is passed on.
 */
import { controlLimits } from './control/limits.ts';
import type { ControlRung, Rung } from './path.ts';
import { controlRungs, rungs } from './path.ts';
import { readQosEvent } from './qos/qos-codec.ts';
import { rids } from './sdp-shape.ts';
import type { MediaKind, Rid, Source } from './sdp-shape.ts';
import { FieldReader, isJsonObject, isU32 } from './signal-fields.ts';
import type {
  LayerWatch,
  ParticipantInfo,
  ParticipantStatus,
  Publication,
  SignalEvent,
  SignalReplyBody,
  SignalRequest,
  SlotAssignment,
  SlotView,
} from './signal.ts';

/** Lengths in characters are UTF-16 units. The README's table of limits is compared with these by a test. */
export const signalLimits = {
  /** The control channel bounds the bytes; this bounds what is parsed for anyone else. */
  maxTextChars: controlLimits.maxMessageBytes,
  maxSdpBytes: 49_152,
  maxIdChars: 64,
  /** SHA-256 in hex with colons. */
  maxFingerprintChars: 95,
  /** Of a participant's identity and of its name. */
  maxNameChars: 256,
  maxStatusBytes: 1024,
  maxStatusKeys: 32,
  maxStatusKeyChars: 64,
  maxPublications: 8,
  maxParticipants: 1024,
  maxSlots: 32,
  maxLayers: 16,
  maxErrorMessageChars: 512,
} as const;

export const signalDecodeReasons = {
  'too-large': 'The message is longer than allowed.',
  'not-json': 'The message is not JSON.',
  'not-an-object': 'The message is not a JSON object.',
  'unknown-type': 'The type is unknown.',
  'invalid-field': 'A field is missing or wrong.',
} as const;
export type SignalDecodeReason = keyof typeof signalDecodeReasons;

/** Returned, never thrown. `instanceof` tells it from a message. */
export class SignalDecodeError {
  readonly reason: SignalDecodeReason;
  /** For people: names the type or the field. Safe to log and to send back. */
  readonly message: string;
  /** The request's `id`, when it could be read: an error reply can name it. */
  readonly requestId: number | null;

  constructor(reason: SignalDecodeReason, detail: string | null, requestId: number | null) {
    this.reason = reason;
    this.message = detail === null ? signalDecodeReasons[reason] : `${signalDecodeReasons[reason]} (${detail})`;
    this.requestId = requestId;
  }
}

type Decoders<T extends { readonly type: string }> = {
  readonly [K in T['type']]: (fields: FieldReader) => Extract<T, { readonly type: K }>;
};

const sources = ['microphone', 'camera', 'screen'] as const satisfies readonly Source[];
const kinds = ['audio', 'video'] as const satisfies readonly MediaKind[];
const plainReplies = [
  'transport',
  'publish',
  'unpublish',
  'mute',
  'subscribe',
  'view',
  'status',
  'telemetry',
  'mute-participant',
  'kick',
  'end-room',
  'start-recording',
  'stop-recording',
  'leave',
] as const;

const requestDecoders: Decoders<SignalRequest> = {
  join: (fields) => ({ type: 'join', id: fields.u32('id') }),
  offer: (fields) => ({ type: 'offer', id: fields.u32('id'), sdp: fields.document('sdp', signalLimits.maxSdpBytes) }),
  transport: (fields) => ({
    type: 'transport',
    id: fields.u32('id'),
    fingerprint: fields.token('fingerprint', signalLimits.maxFingerprintChars),
  }),
  publish: (fields) => ({
    type: 'publish',
    id: fields.u32('id'),
    source: fields.oneOf('source', sources),
    muted: fields.boolean('muted'),
  }),
  unpublish: (fields) => ({ type: 'unpublish', id: fields.u32('id'), source: fields.oneOf('source', sources) }),
  mute: (fields) => ({
    type: 'mute',
    id: fields.u32('id'),
    source: fields.oneOf('source', sources),
    muted: fields.boolean('muted'),
  }),
  subscribe: (fields) => ({
    type: 'subscribe',
    id: fields.u32('id'),
    main: fields.tokenOrNull('main', signalLimits.maxIdChars),
    audio: fields.boolean('audio'),
    video: fields.boolean('video'),
  }),
  view: (fields) => ({
    type: 'view',
    id: fields.u32('id'),
    slots: fields.list('slots', signalLimits.maxSlots, readView),
  }),
  status: (fields) => ({ type: 'status', id: fields.u32('id'), status: readStatus(fields) }),
  'mute-participant': (fields) => ({
    type: 'mute-participant',
    id: fields.u32('id'),
    participant: fields.token('participant', signalLimits.maxIdChars),
    source: fields.oneOf('source', sources),
  }),
  kick: (fields) => ({
    type: 'kick',
    id: fields.u32('id'),
    participant: fields.token('participant', signalLimits.maxIdChars),
  }),
  'end-room': (fields) => ({ type: 'end-room', id: fields.u32('id') }),
  'start-recording': (fields) => ({ type: 'start-recording', id: fields.u32('id') }),
  'stop-recording': (fields) => ({ type: 'stop-recording', id: fields.u32('id') }),
  telemetry: (fields) => ({
    type: 'telemetry',
    id: fields.u32('id'),
    event: readQosEvent(fields.object('event')),
  }),
  leave: (fields) => ({ type: 'leave', id: fields.u32('id') }),
};

const eventDecoders: Decoders<SignalEvent> = {
  reply: readReply,
  'participant-joined': (fields) => ({
    type: 'participant-joined',
    participant: readParticipant(fields.object('participant')),
  }),
  'participant-updated': (fields) => ({
    type: 'participant-updated',
    participant: readParticipant(fields.object('participant')),
  }),
  'participant-left': (fields) => ({ type: 'participant-left', id: fields.token('id', signalLimits.maxIdChars) }),
  participants: (fields) => ({
    type: 'participants',
    changed: fields.list('changed', signalLimits.maxParticipants, readParticipant),
    left: fields.tokens('left', signalLimits.maxParticipants, signalLimits.maxIdChars),
  }),
  layers: (fields) => ({ type: 'layers', layers: fields.list('layers', signalLimits.maxLayers, readLayer) }),
  slots: (fields) => ({ type: 'slots', slots: fields.list('slots', signalLimits.maxSlots, readSlot) }),
  rung: (fields) => ({
    type: 'rung',
    rung: fields.oneOf<Rung>('rung', rungs),
    control: fields.oneOf<ControlRung>('control', controlRungs),
  }),
  recording: (fields) => ({
    type: 'recording',
    active: fields.boolean('active'),
    fault: fields.tokenOrNull('fault', signalLimits.maxIdChars),
  }),
  'data-ended': (fields) => ({
    type: 'data-ended',
    code: fields.token('code', signalLimits.maxIdChars),
    message: fields.text('message', signalLimits.maxErrorMessageChars),
  }),
};

/** The types of both directions, for those who list them; a page does not, and leaves the requests out. */
export const signalRequestTypes = /* @__PURE__ */ Object.keys(requestDecoders) as readonly SignalRequest['type'][];
export const signalEventTypes = /* @__PURE__ */ Object.keys(eventDecoders) as readonly SignalEvent['type'][];

/** A message of a client. */
export function decodeSignalRequest(text: string): SignalRequest | SignalDecodeError {
  return decode<SignalRequest>(text, requestDecoders);
}

/** A message of the SFU. */
export function decodeSignalEvent(text: string): SignalEvent | SignalDecodeError {
  return decode<SignalEvent>(text, eventDecoders);
}

function decode<T extends { readonly type: string }>(text: string, decoders: Decoders<T>): T | SignalDecodeError {
  if (text.length > signalLimits.maxTextChars) return new SignalDecodeError('too-large', null, null);
  const json = parseJson(text);
  if (json === undefined) return new SignalDecodeError('not-json', null, null);
  if (!isJsonObject(json)) return new SignalDecodeError('not-an-object', null, null);
  const fields = new FieldReader(json);
  const id = fields.value('id');
  const requestId = isU32(id) ? id : null;
  const type = fields.value('type');
  if (typeof type !== 'string') return new SignalDecodeError('invalid-field', 'type', requestId);
  if (!Object.hasOwn(decoders, type)) return new SignalDecodeError('unknown-type', clipName(type), requestId);
  const message = decoders[type as T['type']](fields);
  return fields.fault === null ? message : new SignalDecodeError('invalid-field', fields.fault, requestId);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A peer's word, made harmless: short, and printable ASCII. */
function clipName(name: string): string {
  return name.slice(0, signalLimits.maxIdChars).replace(/[^\x20-\x7e]/g, '?');
}

function readStatus(fields: FieldReader): ParticipantStatus {
  return fields.scalars('status', {
    maxBytes: signalLimits.maxStatusBytes,
    maxKeys: signalLimits.maxStatusKeys,
    maxKeyChars: signalLimits.maxStatusKeyChars,
  });
}

function readPublication(fields: FieldReader): Publication {
  return {
    source: fields.oneOf('source', sources),
    kind: fields.oneOf('kind', kinds),
    muted: fields.boolean('muted'),
  };
}

function readParticipant(fields: FieldReader): ParticipantInfo {
  return {
    id: fields.token('id', signalLimits.maxIdChars),
    identity: fields.text('identity', signalLimits.maxNameChars),
    name: fields.text('name', signalLimits.maxNameChars),
    publications: fields.list('publications', signalLimits.maxPublications, readPublication),
    status: readStatus(fields),
  };
}

function readSlot(fields: FieldReader): SlotAssignment {
  return {
    mid: fields.token('mid', signalLimits.maxIdChars),
    kind: fields.oneOf('kind', kinds),
    participant: fields.tokenOrNull('participant', signalLimits.maxIdChars),
    source: fields.oneOfOrNull('source', sources),
  };
}

function readView(fields: FieldReader): SlotView {
  return { mid: fields.token('mid', signalLimits.maxIdChars), layer: fields.oneOfOrNull<Rid>('layer', rids) };
}

function readLayer(fields: FieldReader): LayerWatch {
  return {
    source: fields.oneOf('source', sources),
    rid: fields.oneOfOrNull<Rid>('rid', rids),
    watched: fields.boolean('watched'),
  };
}

function readReply(fields: FieldReader): Extract<SignalEvent, { type: 'reply' }> {
  const id = fields.u32('id');
  if (fields.boolean('ok')) return { type: 'reply', id, ok: true, body: readReplyBody(fields.object('body')) };
  const error = fields.object('error');
  return {
    type: 'reply',
    id,
    ok: false,
    error: {
      code: error.token('code', signalLimits.maxIdChars),
      message: error.text('message', signalLimits.maxErrorMessageChars),
    },
  };
}

function readReplyBody(fields: FieldReader): SignalReplyBody {
  const of = fields.oneOf('of', ['join', 'offer', ...plainReplies]);
  if (of === 'offer') return { of, sdp: fields.document('sdp', signalLimits.maxSdpBytes) };
  if (of !== 'join') return { of };
  return {
    of,
    self: readParticipant(fields.object('self')),
    participants: fields.list('participants', signalLimits.maxParticipants, readParticipant),
  };
}
