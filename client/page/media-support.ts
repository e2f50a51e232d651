/** What this browser can do for media, found out by looking for it. */
import type { Rung } from '../../tunnel-protocol/index.ts';
import { isNativeRung } from '../page-model/ice-plan.ts';

const codecs = ['AudioDecoder', 'AudioEncoder', 'VideoDecoder', 'VideoEncoder'];

export interface MediaSupport {
  /** WebRTC of its own. */
  readonly native: boolean;
  /** The page's media stack on the tunnel: Web Codecs, workers, Web Crypto in a secure context. */
  readonly tunnel: boolean;
  /** For people; empty when nothing is missing. */
  readonly missing: string;
}

export function mediaSupport(): MediaSupport {
  const lacks = (names: readonly string[]): boolean => names.some((name) => !(name in globalThis));
  const native = !lacks(['RTCPeerConnection']);
  const missing = [
    ...(native ? [] : ['WebRTC']),
    ...(lacks(codecs) ? ['Web Codecs'] : []),
    // Of secure pages alone.
    ...(isSecureContext ? [] : ['Web Crypto']),
  ];
  return { native, tunnel: !lacks(codecs) && isSecureContext, missing: missing.join(', ') };
}

/** What this browser lacks for a rung; empty if it has all. */
export function missingFor(rung: Rung | null): string {
  if (rung === null) return '';
  const { native, tunnel, missing } = mediaSupport();
  return (isNativeRung(rung) ? native : tunnel) ? '' : missing;
}
