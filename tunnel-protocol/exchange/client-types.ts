/** What an exchange client is made with, what it wants done, and what it tells. */
import type { ExchangeHeader } from './exchange-header.ts';
import type { ExchangeCarrier } from './exchange-server.ts';
import type { FrameSource } from './frame-source.ts';

export interface ExchangeClientOptions {
  readonly carrier: ExchangeCarrier;
  /** 16 random hexadecimal digits, others for each connection. */
  readonly connection: string;
  /** More than that of any connection of the session before. */
  readonly generation: number;
  readonly now: number;
  readonly source: FrameSource;
  /** Control frames once each and in order, datagrams as they come; borrowed. */
  readonly deliver: (frame: Uint8Array) => void;
  /** Requests held at once: 1 (default) on HTTP/1.1, 2 on HTTP/2, so that there is no gap. */
  readonly polls?: 1 | 2;
  /** Posts on their way at once: 1 (default) on HTTP/1.1, where connections are few. */
  readonly posts?: number;
  /** `http-stream`: upload by a streamed body, where the environment and HTTP/2 allow. */
  readonly streamUpload?: boolean;
}

/** `post` and `upload` are POST, `poll` and `download` GET; the body of an upload comes by writes. */
export type RequestKind = 'post' | 'poll' | 'download' | 'upload';

export type ClientOutput =
  | { readonly type: 'request'; readonly kind: RequestKind; readonly header: ExchangeHeader; readonly body: Uint8Array }
  /** A part of an upload's body. If no more can be taken, call `blocked`, and `drained` later. */
  | { readonly type: 'write'; readonly exchange: number; readonly bytes: Uint8Array }
  /** An upload's body is complete. */
  | { readonly type: 'finish'; readonly exchange: number }
  /** The answer is not wanted any more. */
  | { readonly type: 'abort'; readonly exchange: number };

export type ClientEvent =
  /** A proxy holds the download back: use another carrier. Once. */
  | { readonly type: 'buffered' }
  /** The connection is over, and nothing follows; 1006 when it was lost. Not after `close`. */
  | { readonly type: 'closed'; readonly wire: number };
