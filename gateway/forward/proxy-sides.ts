/**
 * What http2-proxy is given in place of the client's request and response, and the request to the upstream that it gets
 * back: so it moves a body and watches over ends and failures, and sees nothing else of either side.
 */
import { EventEmitter } from 'node:events';
import { ClientRequest, type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import http2Proxy from 'http2-proxy';

/** The members of a request that http2-proxy reads. Its headers are those of nobody: the upstream's are made elsewhere. */
export class RequestSide extends Readable {
  readonly method: string;
  readonly url: string;
  readonly headers = {};
  readonly socket = {};
  aborted = false;

  constructor(method: string, url: string) {
    super();
    this.method = method;
    this.url = url;
  }

  override _read(): void {
    // Bytes are pushed as they come.
  }
}

/** 'finish' and 'close' tell http2-proxy that the answer is given, or will not be. It writes nothing to it. */
export class ResponseSide extends EventEmitter {}

/** Without what http2-proxy would do with an upstream's 101: it writes that into the body of the answer. */
export class UpstreamRequest extends ClientRequest {
  /** Called when the upstream changes protocols, which nobody asked it to; its connection is ended. */
  onceUpgraded(listener: () => void): void {
    super.on('upgrade', (_response, socket) => {
      socket.destroy();
      listener();
    });
  }

  override on(event: string | symbol, listener: (...args: never[]) => void): this {
    return event === 'upgrade' ? this : super.on(event as string, listener as (...args: unknown[]) => void);
  }
}

export interface ProxyHooks {
  /** Makes the request to the upstream; its options are ours. */
  readonly onReq: () => UpstreamRequest;
  /** Takes the response over, head and body. */
  readonly onRes: (request: RequestSide, response: ResponseSide, fromUpstream: IncomingMessage) => void;
}

/** What it rejects with has these besides. */
export interface ProxyError extends Error {
  readonly reusedSocket?: boolean;
}

/** Resolves when either side is through; rejects when the upstream failed. */
export const proxyWeb = http2Proxy.web as unknown as (
  request: RequestSide,
  response: ResponseSide,
  hooks: ProxyHooks,
) => Promise<void>;
