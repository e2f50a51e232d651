/** The mean opinion score of a call's Opus audio, estimated by the E-model from what a client measures. */
import { eModel, mosOfR } from './e-model.ts';

/**
 * ITU-T G.113 assigns no `Ie` and `Bpl` to Opus. At the bitrates of calls (24 kbit/s and more) it is no worse than G.711 in
 * listening tests (draft-ietf-codec-results), so that it gets G.711's `Ie` of 0, the scale's best; and its concealment counts
 * as that of G.711 with PLC under random loss, `Bpl` 25.1 (G.113 Appendix I).
 */
export const opusImpairment = { Ie: 0, Bpl: 25.1 } as const;
/** A frame of 20 ms is gathered, and the encoder looks 6.5 ms ahead (RFC 6716 section 2), before a packet leaves. */
export const opusSendDelayMs = 26.5;

export interface HeardAudio {
  /** 0–1 of what was to be played: packets that were lost or late for good, or what was concealed. */
  readonly lossFraction: number;
  /** To and from the server. */
  readonly roundTripMs: number;
  /** In the jitter buffer. */
  readonly playoutDelayMs: number;
}

/**
 * 1–4.5. The delay is that of this client's way to the server and of its own ends: what the other's way adds, only the
 * other knows. Echo is taken as cancelled as well as G.107 assumes where nothing is known.
 */
export function opusMos({ lossFraction, roundTripMs, playoutDelayMs }: HeardAudio): number {
  const Ta = opusSendDelayMs + roundTripMs / 2 + playoutDelayMs;
  const { R } = eModel({ ...opusImpairment, Ta, T: Ta, Tr: 2 * Ta, Ppl: lossFraction * 100 });
  return mosOfR(R);
}
