/** What the client's ICE agent needs and tells. */
import type { HmacSha1, TransportAddress } from '../../tunnel-protocol/index.ts';
import type { ProofPolicy, ProofResult } from './path-proof.ts';

export interface IceClientOptions {
  /** Cryptographically strong random bytes. */
  readonly random: (length: number) => Uint8Array;
  readonly hmacSha1: HmacSha1;
  /** What it takes to prove a path. */
  readonly proof?: ProofPolicy;
}

/** One datagram to send on a path. The bytes are given away. */
export interface IceOutput {
  readonly pathId: string;
  readonly datagram: Uint8Array;
}

/** Why a path failed: no check was ever answered, answers stopped for 30 s, or the peer refused with an error. */
export type IcePathFailure = 'unanswered' | 'consent-lost' | 'rejected';

export type IceClientEvent =
  /** A path's first answered check, and again its first after a restart. `mapped`: our address as the peer sees it. */
  | { readonly type: 'validated'; readonly pathId: string; readonly mapped: TransportAddress | null }
  /**
   * The peer confirmed the nomination of this number: media goes on `pathId` from now on. `previous` may be the same path.
   */
  | {
      readonly type: 'nominated';
      readonly pathId: string;
      readonly previous: string | null;
      readonly nomination: number;
    }
  /** No answer to a nomination. Which path the peer uses is unknown until another nomination succeeds. */
  | { readonly type: 'nomination-failed'; readonly pathId: string }
  /** A measured round trip of an answered check. */
  | { readonly type: 'round-trip'; readonly pathId: string; readonly ms: number }
  /** What `prove` led to, unless the path failed or went away before. */
  | { readonly type: 'proof'; readonly pathId: string; readonly result: ProofResult }
  /** The path is checked no more; other paths go on. `addPath` with the same id starts it again. */
  | { readonly type: 'failed'; readonly pathId: string; readonly reason: IcePathFailure };

export type IcePathState = 'checking' | 'valid' | 'failed';
