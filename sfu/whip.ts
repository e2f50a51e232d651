/** Sessions whose clients have no control channel (WHIP, WHEP): what others say there, their HTTP requests say for them. */
import { audioSlotMids, videoSlotMids } from '../tunnel-protocol/index.ts';
import { readIceFragment } from './ice-fragment.ts';
import { offerCost } from './participant.ts';
import type { Participant } from './participant.ts';
import type { Room } from './room.ts';
import { writeIceFragment } from './sdp-answer.ts';
import type { Offer } from './sdp-offer.ts';
import type { WhipPatched } from './sfu.ts';
import { defaultLayers } from './slots.ts';

/** Its media is connected: it joins, publishes what the offer has sections for, and is shown what it has slots for. */
export function joinWithOffer(room: Room, participant: Participant, { sections }: Offer, now: number): void {
  const slots = new Set(sections.map(({ slot }) => slot));
  const layers = videoSlotMids.map((mid, at) => (slots.has(mid) ? (defaultLayers[at] ?? null) : null));
  participant.wishes = {
    main: null,
    audio: slots.has(audioSlotMids[0]),
    video: slots.has(videoSlotMids[0]),
    layers,
  };
  participant.egress.setCeilings(layers, now);
  room.join(participant, now, () => undefined);
  if (!participant.can('publish')) return;
  for (const { source } of sections) if (source !== null) room.publish(participant, source, false, now);
}

/** Names the ICE session as long as it is the same. */
export function iceTagOf(participant: Participant): string {
  return participant.localIce?.ufrag ?? '';
}

/** A fragment that the client sent about the ICE sessions of these tags; null: about whichever there is. */
export function patchIce(
  participant: Participant,
  offer: Offer,
  text: string,
  iceTags: readonly string[] | null,
  now: number,
): WhipPatched {
  if (!participant.requestBudget.take(offerCost, now)) return { outcome: 'too-many' };
  const before = participant.remoteIce;
  if (iceTags !== null && !iceTags.includes(iceTagOf(participant))) return { outcome: 'stale' };
  const fragment = readIceFragment(text);
  if (typeof fragment === 'string') return { outcome: 'malformed', detail: fragment };
  // Whoever names the ICE session that there is adds candidates, which come to nothing here: the client checks, not this side.
  if (fragment.ice === null || fragment.ice.ufrag === before?.ufrag) return { outcome: 'trickled' };
  participant.restartIce(fragment.ice);
  const ice = participant.localIce;
  if (ice === null) return { outcome: 'stale' };
  const { candidates } = participant;
  return {
    outcome: 'restarted',
    fragment: writeIceFragment(offer, { ice, candidates }),
    iceTag: iceTagOf(participant),
  };
}
