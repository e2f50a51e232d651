/** Answers the requests of a session's client: every request gets exactly one reply, and nothing it says is believed. */
import { decodeSignalRequest, SignalDecodeError, signalLimits, videoSlotMids } from '../tunnel-protocol/index.ts';
import type { QosEvent, Rid, SignalReplyBody, SignalRequest, SlotView } from '../tunnel-protocol/index.ts';
import type { SfuCounters } from './counters.ts';
import { signalErrors } from './errors.ts';
import type { SignalErrorCode } from './errors.ts';
import { offerCost } from './participant.ts';
import type { Participant } from './participant.ts';
import { inPortions } from './room.ts';
import type { Room } from './room.ts';
import { isOfferError, parseOffer } from './sdp-offer.ts';
import { defaultLayers } from './slots.ts';

/** An error reply: a stable code, and what in particular was wrong. */
interface Refusal {
  readonly code: SignalErrorCode;
  readonly detail?: string;
}

export interface SignallingDeps {
  readonly counters: SfuCounters;
  /** Ends a session: for somebody who leaves, after the reply. */
  readonly end: (participant: Participant, reason: 'left' | 'kicked') => void;
  /** Ends all sessions of the room, after the reply. */
  readonly endRoom: () => void;
  /** Does nothing where the room is recorded already. */
  readonly startRecording: (by: 'admin' | 'token') => void;
  /** False when the room is not recorded. */
  readonly stopRecording: () => boolean;
  readonly canRecord: boolean;
  readonly onTelemetry: ((event: QosEvent) => void) | undefined;
}

/** One message of a client. */
export function handleSignal(
  deps: SignallingDeps,
  room: Room,
  participant: Participant,
  text: string,
  now: number,
): void {
  const { counters, onTelemetry } = deps;
  counters.requests++;
  const request = decodeSignalRequest(text);
  if (request instanceof SignalDecodeError) {
    counters.requests_refused++;
    // Without an id there is nobody to answer.
    if (request.requestId !== null) {
      refuse(participant, request.requestId, { code: 'bad-request', detail: request.message }, now);
    }
    return;
  }
  if (!participant.requestBudget.take(request.type === 'offer' ? offerCost : 1, now)) {
    counters.requests_refused++;
    refuse(participant, request.id, { code: 'too-many-requests' }, now);
    return;
  }
  if (request.type === 'join') {
    join(room, participant, request.id, counters, now);
    if (participant.session.record === true) deps.startRecording('token');
    return;
  }
  if (request.type === 'telemetry') {
    takeTelemetry(participant, request, onTelemetry, counters, now);
    return;
  }
  const result = answer(deps, room, participant, request, now);
  if ('code' in result) {
    counters.requests_refused++;
    refuse(participant, request.id, result, now);
    return;
  }
  participant.send({ type: 'reply', id: request.id, ok: true, body: result }, now);
  if (request.type === 'leave') deps.end(participant, 'left');
  if (request.type === 'end-room') deps.endRoom();
}

function takeTelemetry(
  participant: Participant,
  { id, event }: Extract<SignalRequest, { type: 'telemetry' }>,
  onTelemetry: SignallingDeps['onTelemetry'],
  counters: SfuCounters,
  now: number,
): void {
  if (!participant.joined || !participant.telemetryBudget.take(1, now)) {
    counters.requests_refused++;
    refuse(participant, id, { code: participant.joined ? 'too-many-requests' : 'not-joined' }, now);
    return;
  }
  counters.telemetry_in++;
  onTelemetry?.(event);
  participant.send({ type: 'reply', id, ok: true, body: { of: 'telemetry' } }, now);
}

function refuse(participant: Participant, id: number, { code, detail }: Refusal, now: number): void {
  const message = detail === undefined ? signalErrors[code] : `${signalErrors[code]} ${detail}`;
  const error = { code, message: message.slice(0, signalLimits.maxErrorMessageChars) };
  participant.send({ type: 'reply', id, ok: false, error }, now);
}

function join(room: Room, participant: Participant, id: number, counters: SfuCounters, now: number): void {
  if (participant.joined) {
    counters.requests_refused++;
    refuse(participant, id, { code: 'already-joined' }, now);
    return;
  }
  room.join(participant, now, () => {
    const others = room.visibleTo(participant).map(({ info }) => info);
    const [participants = [], ...more] = inPortions(others);
    const body: SignalReplyBody = { of: 'join', self: participant.info, participants };
    participant.send({ type: 'reply', id, ok: true, body }, now);
    for (const changed of more) participant.send({ type: 'participants', changed, left: [] }, now);
  });
}

/** By video slot: what the client named, else the default. */
function layersOf(slots: readonly SlotView[]): readonly (Rid | null)[] {
  return videoSlotMids.map((mid, at) => {
    const named = slots.find((slot) => slot.mid === mid);
    return named === undefined ? (defaultLayers[at] ?? null) : named.layer;
  });
}

function answer(
  { counters, end, canRecord, startRecording, stopRecording }: SignallingDeps,
  room: Room,
  participant: Participant,
  request: Exclude<SignalRequest, { type: 'join' | 'telemetry' }>,
  now: number,
): SignalReplyBody | Refusal {
  if (request.type === 'leave') return { of: 'leave' };
  if (!participant.joined) return { code: 'not-joined' };
  switch (request.type) {
    case 'offer': {
      const offer = parseOffer(request.sdp);
      if (isOfferError(offer)) {
        counters.offers_refused++;
        return { code: 'bad-offer', detail: `${offer.where}: ${offer.reason}` };
      }
      return { of: 'offer', sdp: participant.acceptOffer(offer, now) };
    }
    case 'transport':
      if (!participant.useTransport(request.fingerprint, now)) return { code: 'unknown-transport' };
      return { of: 'transport' };
    case 'publish':
      if (!participant.can('publish')) return { code: 'forbidden', detail: 'It lacks "publish".' };
      if (!participant.ingress.carries(request.source)) return { code: 'not-negotiated', detail: request.source };
      room.publish(participant, request.source, request.muted, now);
      return { of: 'publish' };
    case 'unpublish':
      if (!room.unpublish(participant, request.source, now)) return { code: 'unknown-source', detail: request.source };
      return { of: 'unpublish' };
    case 'mute':
      if (!room.mute(participant, request.source, request.muted, now)) {
        return { code: 'unknown-source', detail: request.source };
      }
      return { of: 'mute' };
    case 'subscribe': {
      if (!participant.can('subscribe')) return { code: 'forbidden', detail: 'It lacks "subscribe".' };
      const { main, audio, video } = request;
      if (main !== null && room.member(main)?.visible !== true) return { code: 'unknown-participant' };
      participant.wishes = { ...participant.wishes, main, audio, video };
      room.wishesChanged(participant, now);
      return { of: 'subscribe' };
    }
    case 'view':
      if (!participant.can('subscribe')) return { code: 'forbidden', detail: 'It lacks "subscribe".' };
      participant.wishes = { ...participant.wishes, layers: layersOf(request.slots) };
      room.wishesChanged(participant, now);
      return { of: 'view' };
    case 'mute-participant':
    case 'kick': {
      if (!participant.can('admin')) return { code: 'forbidden', detail: 'It lacks "admin".' };
      const other = room.member(request.participant);
      if (other === undefined) return { code: 'unknown-participant' };
      if (request.type === 'kick') end(other, 'kicked');
      else if (!room.muteByModerator(other, request.source, now)) {
        return { code: 'unknown-source', detail: request.source };
      }
      return { of: request.type };
    }
    case 'end-room':
      if (!participant.can('admin')) return { code: 'forbidden', detail: 'It lacks "admin".' };
      return { of: 'end-room' };
    case 'start-recording':
      if (!participant.can('admin')) return { code: 'forbidden', detail: 'It lacks "admin".' };
      if (!canRecord) return { code: 'recording-unavailable' };
      startRecording('admin');
      return { of: 'start-recording' };
    case 'stop-recording':
      if (!participant.can('admin')) return { code: 'forbidden', detail: 'It lacks "admin".' };
      if (!stopRecording()) return { code: 'not-recorded' };
      return { of: 'stop-recording' };
    case 'status':
      room.setStatus(participant, request.status, now);
      return { of: 'status' };
  }
}
