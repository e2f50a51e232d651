/**
 * Signalling messages: JSON texts that travel as reliable, sequenced `signal` frames of a control channel.
 * Requests carry an `id` chosen by the client and are answered by exactly one `reply`.
 */
import type { ControlRung, Rung } from './path.ts';
import type { QosEvent } from './qos/index.ts';
import type { MediaKind, Rid, Source } from './sdp-shape.ts';

export type Permission = 'publish' | 'subscribe' | 'data' | 'admin';

export interface Publication {
  readonly source: Source;
  readonly kind: MediaKind;
  readonly muted: boolean;
}

/** Free for applications; at most 1 KiB as JSON. */
export type ParticipantStatus = Readonly<Record<string, string | number | boolean>>;

export interface ParticipantInfo {
  readonly id: string;
  readonly identity: string;
  readonly name: string;
  readonly publications: readonly Publication[];
  readonly status: ParticipantStatus;
}

/** Who is shown where. `participant` is null for an empty slot. */
export interface SlotAssignment {
  readonly mid: string;
  readonly kind: MediaKind;
  readonly participant: string | null;
  readonly source: Source | null;
}

/** How a client shows one video slot. `layer` null: not at all, so nothing is sent there. */
export interface SlotView {
  readonly mid: string;
  readonly layer: Rid | null;
}

/** Whether anyone is to be sent this layer. `rid` is null for a source without simulcast. */
export interface LayerWatch {
  readonly source: Source;
  readonly rid: Rid | null;
  readonly watched: boolean;
}

/** Client to SFU. */
export type SignalRequest =
  | { readonly type: 'join'; readonly id: number }
  /** The fixed-shape offer; with new ICE credentials it is an ICE restart (RFC 8839 section 4.4.1.1.1). */
  | { readonly type: 'offer'; readonly id: number; readonly sdp: string }
  /**
   * Media goes by the transport whose offer had this SHA-256 fingerprint from now on. For a client with two of them; with
   * one there is nothing to say.
   */
  | { readonly type: 'transport'; readonly id: number; readonly fingerprint: string }
  /** Media now flows, or flows again, on the section of this source. */
  | { readonly type: 'publish'; readonly id: number; readonly source: Source; readonly muted: boolean }
  | { readonly type: 'unpublish'; readonly id: number; readonly source: Source }
  | { readonly type: 'mute'; readonly id: number; readonly source: Source; readonly muted: boolean }
  /** `main`: the participant to pin as main, null to let the SFU choose. Kinds not received are not sent. */
  | {
      readonly type: 'subscribe';
      readonly id: number;
      readonly main: string | null;
      readonly audio: boolean;
      readonly video: boolean;
    }
  /** The whole view, which replaces the one before: slots that it does not name are main at `h`, thumbnails at `l`. */
  | { readonly type: 'view'; readonly id: number; readonly slots: readonly SlotView[] }
  | { readonly type: 'status'; readonly id: number; readonly status: ParticipantStatus }
  /** The next five are for moderators: they need the permission `admin`. */
  | { readonly type: 'mute-participant'; readonly id: number; readonly participant: string; readonly source: Source }
  | { readonly type: 'kick'; readonly id: number; readonly participant: string }
  | { readonly type: 'end-room'; readonly id: number }
  | { readonly type: 'start-recording'; readonly id: number }
  | { readonly type: 'stop-recording'; readonly id: number }
  /** How the call went since the telemetry before; for operators, no participant hears of it. */
  | { readonly type: 'telemetry'; readonly id: number; readonly event: QosEvent }
  | { readonly type: 'leave'; readonly id: number };

export interface SignalErrorBody {
  readonly code: string;
  readonly message: string;
}

export type SignalReplyBody =
  | { readonly of: 'join'; readonly self: ParticipantInfo; readonly participants: readonly ParticipantInfo[] }
  | { readonly of: 'offer'; readonly sdp: string }
  | { readonly of: Exclude<SignalRequest['type'], 'join' | 'offer'> };

/** SFU to client. */
export type SignalEvent =
  | { readonly type: 'reply'; readonly id: number; readonly ok: true; readonly body: SignalReplyBody }
  | { readonly type: 'reply'; readonly id: number; readonly ok: false; readonly error: SignalErrorBody }
  | { readonly type: 'participant-joined'; readonly participant: ParticipantInfo }
  | { readonly type: 'participant-updated'; readonly participant: ParticipantInfo }
  | { readonly type: 'participant-left'; readonly id: string }
  /** Several of the three above at once: who is new or changed, complete, and who is gone. */
  | {
      readonly type: 'participants';
      readonly changed: readonly ParticipantInfo[];
      readonly left: readonly string[];
    }
  /** The whole assignment, whenever it changes. */
  | { readonly type: 'slots'; readonly slots: readonly SlotAssignment[] }
  /** All video layers that this client publishes, whenever it changes who is watched. The others need not be sent. */
  | { readonly type: 'layers'; readonly layers: readonly LayerWatch[] }
  /** The path that media is nominated on, as the SFU sees it. */
  | { readonly type: 'rung'; readonly rung: Rung; readonly control: ControlRung }
  /** The room is recorded from now on, or no longer: after joining only where it is. `fault`: why it ended by itself. */
  | { readonly type: 'recording'; readonly active: boolean; readonly fault: string | null }
  /** The SFU ended this client's data channels. */
  | { readonly type: 'data-ended'; readonly code: string; readonly message: string };
