/**
 * `GET /tunnel/v1/turn`: TURN over WebSocket, subprotocol `turn`. A binary message holds one or more whole messages of TURN
 * over TCP (RFC 8656 sections 3.1 and 12.5), ChannelData padded. Who a client is, TURN's own credentials say.
 */
import { BatchedStream, type TurnStream, type TurnStreamInput } from '../turn/index.ts';
import { offeredSubprotocols } from './bearer.ts';
import type { EngineSocket, RequestHead, SocketEvents, UpgradeDecision, WebSocketRoute } from './engine/index.ts';
import type { Origins } from './origins.ts';
import { problem, problemReply, type Problem } from './problem.ts';

export const turnSubprotocol = 'turn';
export const turnWebSocketPath = '/tunnel/v1/turn';

const closeCode = { notTurn: 1007, notBinary: 1003, tooMany: 1013 } as const;
/** Of one message, which may hold many of TURN's; each of those is bounded by turn/. */
const maxMessageBytes = 65_536;
/** Together with the largest batch less than what a socket takes, so that nothing of TURN's is lost on the way. */
const backlogBytes = 131_072;

export interface TurnWebSocketDeps {
  readonly turn: { accept(stream: TurnStream): TurnStreamInput | null };
  readonly origins: Origins;
  readonly refused: (reason: string) => void;
}

export class TurnWebSocket implements WebSocketRoute {
  readonly path = turnWebSocketPath;
  readonly maxMessageBytes = maxMessageBytes;
  readonly idleTimeoutSeconds = 32;
  readonly #deps: TurnWebSocketDeps;
  #opened = 0;

  constructor(deps: TurnWebSocketDeps) {
    this.#deps = deps;
  }

  readonly upgrade = (head: RequestHead): UpgradeDecision => {
    const refusal = this.#refusal(head);
    if (refusal === null) return { accept: true, protocol: turnSubprotocol, open: (socket) => this.#serve(socket) };
    this.#deps.refused(refusal.code);
    return { accept: false, reply: problemReply(refusal) };
  };

  #refusal(head: RequestHead): Problem | null {
    if (!this.#deps.origins.allows(head)) {
      return problem('origin-not-allowed', "Name the page's origin in SALLYPORT_ORIGINS.");
    }
    if (offeredSubprotocols(head).includes(turnSubprotocol)) return null;
    return problem('bad-request', `Offer the WebSocket subprotocol ${turnSubprotocol}.`);
  }

  #serve(socket: EngineSocket): SocketEvents {
    const stream = new BatchedStream({
      // Of the rungs it is this one: a reliable connection to the port of HTTPS that carries TURN.
      kind: 'turn-tls',
      remote: { address: socket.remoteAddress, port: socket.remotePort },
      // Which of this machine's addresses it came to is not known; the number keeps the five-tuple its own.
      local: { address: '::', port: ++this.#opened },
      whole: true,
      write: (bytes) => {
        socket.send(bytes);
      },
      bufferedBytes: () => socket.bufferedBytes,
      backlogBytes,
      close: () => {
        socket.close(closeCode.notTurn, 'what came is no TURN, or nothing came of it');
      },
    });
    const input = this.#deps.turn.accept(stream);
    if (input === null) {
      this.#deps.refused('turn-streams');
      socket.close(closeCode.tooMany, 'too many TURN connections');
    }
    return {
      message: (bytes, isBinary) => {
        if (isBinary) input?.push(bytes);
        else socket.close(closeCode.notBinary, 'TURN comes in binary messages');
      },
      drain: () => undefined,
      closed: () => {
        stream.lost();
        input?.closed();
      },
    };
  }
}
