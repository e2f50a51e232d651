/** One path of an edge as its trunk carries it, and what a datagram is worth on the way. */
import {
  classifyDatagram,
  datagramClass,
  isRtcp,
  lane,
  noRate,
  transportMeta,
  type Path,
  type SendMeta,
} from '../../tunnel-protocol/index.ts';
import type { TrunkClient } from './trunk-client.ts';
import type { TrunkStream } from './trunk-stream.ts';

/** RTP packets up to here are taken for audio. */
const audioBytes = 320;

const audioMeta: SendMeta = { lane: lane.audio, frameId: 0, keyFrame: false, discardable: false, deadlineMs: 0 };
const videoMeta: SendMeta = { ...audioMeta, lane: lane.video };
const controlMeta: SendMeta = { ...audioMeta, lane: lane.control };

/** One path of this edge on its trunk; the path's `owner`. */
export class EdgeFlow {
  readonly id: number;
  readonly path: Path;
  readonly session: string | null;
  readonly client: TrunkClient;
  /** Another one once this one is lost. */
  stream: TrunkStream;
  readonly openedAt: number;
  bound = false;
  toldRate = noRate;
  packed = -1;
  meta: SendMeta = transportMeta;

  constructor(
    id: number,
    path: Path,
    session: string | null,
    client: TrunkClient,
    stream: TrunkStream,
    openedAt: number,
  ) {
    this.id = id;
    this.path = path;
    this.session = session;
    this.client = client;
    this.stream = stream;
    this.openedAt = openedAt;
  }
}

/** Of a datagram to the SFU, as far as it can be told from outside. */
export function metaOf(datagram: Uint8Array): SendMeta {
  const kind = classifyDatagram(datagram);
  if (kind === datagramClass.control) return controlMeta;
  if (kind !== datagramClass.rtp || isRtcp(datagram)) return transportMeta;
  return datagram.length <= audioBytes ? audioMeta : videoMeta;
}
