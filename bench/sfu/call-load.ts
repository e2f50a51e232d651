/** Whole rooms of synthetic peers, in one process. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CipherContext } from 'werift';
import { SrtpEngine, type SrtpWasm } from '../../tunnel-protocol/index.ts';
import { loadLibc, loadOpenssl } from '../../gateway/index.ts';
import { serveCommands } from '../harness/worker-process.ts';
import { percentile } from '../harness/statistics.ts';
import { SyntheticPeer } from './synthetic-peer.ts';
import { SyntheticSender } from './synthetic-sender.ts';

declare const WebAssembly: {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: object } }>;
};

export interface RoomPlan {
  readonly url: string;
  readonly room: string;
  /** Who sends sound, and a camera's simulcast where `video` says so. */
  readonly senders: number;
  /** Who only listens. */
  readonly listeners: number;
  readonly video: boolean;
}

export interface CallResult {
  readonly sent: number;
  readonly received: number;
  readonly receivedMbit: number;
  readonly lostPercent: number;
  readonly repeated: number;
  readonly delayP50Ms: number;
  readonly delayP99Ms: number;
  /** The longest time between two rounds of sending, in ms: what the load itself adds to delays. */
  readonly heldUpMs: number;
}

const joinsAtOnce = 4;
/** How often somebody else begins to speak. */
const turnMs = 4000;
const speakersAtOnce = 3;

const peers: SyntheticPeer[] = [];
let rooms: SyntheticSender[][] = [];
let running = false;
let heldUpMs = 0;
const engine = await createEngine();
const identity = await createIdentity();
const libc = loadLibc();

serveCommands({
  async connect({ url, room, senders, listeners, video }: RoomPlan): Promise<void> {
    const sending: SyntheticSender[] = [];
    let next = 0;
    const joinNext = async (): Promise<void> => {
      while (next < senders + listeners) {
        const index = next++;
        const peer = await SyntheticPeer.join({ url, identity, engine, libc }, room, `peer-${String(index)}`);
        peers.push(peer);
        if (index >= senders) continue;
        await peer.request({ type: 'publish', source: 'microphone', muted: false });
        if (video) await peer.request({ type: 'publish', source: 'camera', muted: false });
        sending.push(new SyntheticSender(peer, engine.bytes, index, index / senders, video));
      }
    };
    await Promise.all(Array.from({ length: joinsAtOnce }, joinNext));
    rooms.push(sending);
  },

  /** Sends for so long, and tells what came of it; the first `settleMs` are not counted. */
  async run({ settleMs, ms }: { settleMs: number; ms: number }): Promise<CallResult> {
    running = true;
    const sending = send();
    await pause(settleMs);
    for (const peer of peers) {
      peer.media.restart();
      peer.sent = 0;
    }
    heldUpMs = 0;
    await pause(ms);
    const result = outcome(ms);
    running = false;
    await sending;
    return result;
  },

  close(): void {
    for (const peer of peers.splice(0)) peer.close();
    rooms = [];
  },
});

async function send(): Promise<void> {
  let before = performance.now();
  while (running) {
    const now = performance.now();
    heldUpMs = Math.max(heldUpMs, now - before);
    before = now;
    const turn = Math.floor(now / turnMs) * speakersAtOnce;
    for (const room of rooms) {
      room.forEach((sender, index) => {
        sender.speaks = (index - turn + room.length * turn) % room.length < speakersAtOnce;
        sender.run(now);
        engine.reset();
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function outcome(ms: number): CallResult {
  const sum = (of: (peer: SyntheticPeer) => number): number => peers.reduce((total, peer) => total + of(peer), 0);
  const received = sum(({ media }) => media.received);
  const lost = sum(({ media }) => media.takeLost());
  const delays = peers.flatMap(({ media }) => media.delays).sort((a, b) => a - b);
  return {
    sent: sum((peer) => peer.sent),
    received,
    receivedMbit: (sum(({ media }) => media.bytes) * 8) / ms / 1000,
    lostPercent: (100 * lost) / Math.max(1, received + lost),
    repeated: sum(({ media }) => media.rtx),
    delayP50Ms: delays.length === 0 ? 0 : percentile(delays, 0.5),
    delayP99Ms: delays.length === 0 ? 0 : percentile(delays, 0.99),
    heldUpMs,
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function createEngine(): Promise<SrtpEngine> {
  const file = await readFile(new URL('../../tunnel-protocol/srtp/engine.wasm', import.meta.url));
  const { instance } = await WebAssembly.instantiate(file, {});
  return new SrtpEngine(instance.exports as SrtpWasm, loadOpenssl());
}

/** One for all: making certificates is not what is measured. */
async function createIdentity(): Promise<{ certPem: string; keyPem: string; fingerprint: string }> {
  const { certPem, keyPem } = await CipherContext.createSelfSignedCertificateWithKey({ signature: 3, hash: 4 }, 23);
  return { certPem, keyPem, fingerprint: new X509Certificate(certPem).fingerprint256 };
}
