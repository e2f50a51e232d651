/** Opens one stream of a trunk from the edge's side: TLS, then each end proves itself to the other before anything else counts. */
import type { TLSSocket } from 'node:tls';
import { encodeTrunkJson, readTrunkJson, trunkType, trunkVersion } from '../../tunnel-protocol/index.ts';
import { dialTrunk, isProved, trunkProof } from './trunk-auth.ts';
import type { TrunkClientConfig } from './trunk-client.ts';
import { readHello, type TrunkHello } from './trunk-messages.ts';
import { TrunkStream, type TrunkStreamDeps } from './trunk-stream.ts';

const connectTimeoutMs = 4000;

export interface OpenedStream {
  readonly stream: TrunkStream;
  readonly hello: TrunkHello;
}

/** Which one of its trunk it is. */
export interface StreamPlace {
  /** The same for all streams of a trunk. */
  readonly link: string;
  readonly index: number;
  readonly count: number;
}

export interface OpenStreamEvents {
  /** One frame of a peer that has proved itself, borrowed. */
  readonly frame: (flow: number, payload: Uint8Array) => void;
  /** Once, whether it was open or not. */
  readonly closed: (stream: TrunkStream, reason: string) => void;
}

/** Rejects when the node does not answer, or does not prove itself. `sockets` gets the connection, for who calls it off. */
export function openTrunkStream(
  { edgeId, host, port, credentials, candidates, nodeId }: TrunkClientConfig,
  { link, index, count }: StreamPlace,
  sockets: TLSSocket[],
  { frame, closed }: OpenStreamEvents,
  deps: TrunkStreamDeps,
): Promise<OpenedStream> {
  const socket = dialTrunk(host, port, credentials);
  sockets.push(socket);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      fail(new Error('the SFU node does not answer'));
    }, connectTimeoutMs);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    socket.once('error', fail);
    socket.once('close', () => {
      fail(new Error('the connection was closed'));
    });
    socket.once('secureConnect', () => {
      let settled = false;
      const stream: TrunkStream = new TrunkStream(
        socket,
        {
          frame: (flow, payload) => {
            if (settled) {
              frame(flow, payload);
              return;
            }
            const hello =
              flow === 0 && payload[0] === trunkType.hello ? readHello(readTrunkJson(payload.subarray(1))) : null;
            if (hello?.link !== link || !isProved(socket, credentials, 'node', link, hello.proof)) {
              fail(new Error('the peer did not prove that it is an SFU node of this cluster'));
            } else if (nodeId !== null && hello.id !== nodeId) {
              fail(new Error('another SFU node answers there'));
            } else {
              settled = true;
              clearTimeout(timer);
              stream.trust();
              resolve({ stream, hello });
            }
          },
          closed: (reason) => {
            fail(new Error(reason));
            closed(stream, reason);
          },
        },
        deps,
      );
      const proof = trunkProof(socket, credentials, 'edge', link);
      const hello: TrunkHello = {
        version: trunkVersion,
        id: edgeId,
        link,
        stream: index,
        streams: count,
        proof,
        candidates,
      };
      stream.sendControl(encodeTrunkJson(trunkType.hello, [], hello));
      stream.flush();
    });
  });
}
