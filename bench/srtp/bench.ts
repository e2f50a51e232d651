/**
 * What sealing a packet of 1200 bytes costs, at 1, 10 and 200 keys in turn, 8 packets each. By WebAssembly and without AES: as
 * the SFU does where it has nothing better, and by tables of 64 KiB a key. With AES: OpenSSL called directly, as the SFU does where
 * it can, and one call of node:crypto's AES-GCM per packet.
 */
import { createCipheriv, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { loadOpenssl } from '../../gateway/index.ts';
import type { BenchOptions } from '../benches.ts';
import { against, figure, type Figure } from '../harness/result-file.ts';
import { summarize } from '../harness/statistics.ts';

interface Sealer {
  readonly memory: { readonly buffer: ArrayBuffer };
  base(): number;
  setHashKey(context: number, h: number): void;
  sealGcm(context: number, jobs: number, first: number, stop: number): void;
}

declare const WebAssembly: {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: object } }>;
};

const keyCounts = [1, 10, 200];
const packetBytes = 1200;
const headerBytes = 20;
const batch = 8;
const rounds = 8000;
const jobBytes = 48;
/** Of one key: by the engine (its `setHashKey`), and by tables. */
const engineContextBytes = 576;
const tableContextBytes = 65_536;

export async function benchSrtp({ runs, progress }: BenchOptions): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  const plain = await load('../../tunnel-protocol/srtp/engine.wasm');
  const tables = await load('./tables.wasm');
  for (const keys of keyCounts) {
    const without: number[] = [];
    const withTables: number[] = [];
    const byNode: number[] = [];
    const byOpenssl: number[] = [];
    for (let run = 0; run <= runs; run++) {
      progress(`${String(keys)} keys, ${run === 0 ? 'warm-up' : `run ${String(run)} of ${String(runs)}`}`);
      const first = sealAll(plain, engineContextBytes, keys);
      const second = sealAll(tables, tableContextBytes, keys);
      if (Buffer.compare(first.packet, second.packet) !== 0) throw new Error('the results differ');
      const third = sealByNode(keys);
      const fourth = sealByOpenssl(keys);
      if (run === 0) continue;
      if (fourth !== null) byOpenssl.push(fourth);
      without.push(first.cpuUs);
      withTables.push(second.cpuUs);
      byNode.push(third);
    }
    const id = `srtp.ghash.1200.keys${String(keys)}`;
    figures.push(
      against(
        figure(`${id}.cpu_us`, 'µs per packet', summarize(without)),
        '64 KiB tables per key',
        summarize(withTables),
      ),
    );
    const node = summarize(byNode);
    const withAes = 'µs per packet, AES included';
    figures.push(
      byOpenssl.length === 0
        ? figure(`srtp.node-gcm.1200.keys${String(keys)}.cpu_us`, withAes, node)
        : against(
            figure(`srtp.openssl.1200.keys${String(keys)}.cpu_us`, withAes, summarize(byOpenssl)),
            'createCipheriv per packet',
            node,
          ),
    );
  }
  return figures;
}

async function load(name: string): Promise<Sealer> {
  const { instance } = await WebAssembly.instantiate(await readFile(new URL(name, import.meta.url)), {});
  return instance.exports as Sealer;
}

/** CPU time per packet, and the last packet. */
function sealAll(sealer: Sealer, contextBytes: number, keys: number): { cpuUs: number; packet: Uint8Array } {
  const bytes = new Uint8Array(sealer.memory.buffer);
  const words = new Int32Array(sealer.memory.buffer);
  const jobs = sealer.base();
  const keystream = jobs + 1024;
  const packets = keystream + 2048;
  const contexts = packets + batch * 2048;
  for (let key = 0; key < keys; key++) {
    bytes.fill(key + 1, keystream, keystream + 16);
    sealer.setHashKey(contexts + key * contextBytes, keystream);
  }
  bytes.fill(0x3c, keystream, keystream + 2048);
  bytes.fill(7, packets, contexts);
  for (let job = 0; job < batch; job++) {
    const word = (jobs + job * jobBytes) >>> 2;
    const at = packets + job * 2048;
    words.set([at, headerBytes, at + headerBytes, packetBytes - headerBytes], word);
    words[word + 9] = job === batch - 1 ? -1 : job + 1;
    words[word + 10] = keystream;
  }
  const start = process.cpuUsage();
  for (let round = 0; round < rounds; round++) {
    sealer.sealGcm(contexts + (round % keys) * contextBytes, jobs, 0, -1);
  }
  const { user, system } = process.cpuUsage(start);
  return { cpuUs: (user + system) / (rounds * batch), packet: bytes.slice(packets, packets + packetBytes + 16) };
}

function sealByNode(keys: number): number {
  const secrets = Array.from({ length: keys }, () => randomBytes(16));
  const nonce = randomBytes(12);
  const packet = randomBytes(packetBytes);
  const header = packet.subarray(0, headerBytes);
  const count = rounds;
  const start = process.cpuUsage();
  for (let i = 0; i < count; i++) {
    const cipher = createCipheriv('aes-128-gcm', secrets[i % keys] as Buffer, nonce);
    cipher.setAAD(header);
    cipher.update(packet.subarray(headerBytes));
    cipher.final();
    cipher.getAuthTag();
  }
  const { user, system } = process.cpuUsage(start);
  return (user + system) / count;
}

/** Null where OpenSSL cannot be called. */
function sealByOpenssl(keys: number): number | null {
  const memory = new Uint8Array(new ArrayBuffer(16 + batch * 2048));
  const ciphers = loadOpenssl()?.(memory) ?? null;
  if (ciphers === null) return null;
  const sealers = Array.from({ length: keys }, () => ciphers.gcmSealer(randomBytes(16)));
  const start = process.cpuUsage();
  for (let round = 0; round < rounds; round++) {
    const sealer = sealers[round % keys];
    for (let i = 0; i < batch; i++) {
      const at = 16 + i * 2048;
      sealer?.run(0, at, headerBytes, at + headerBytes, packetBytes - headerBytes);
    }
  }
  const { user, system } = process.cpuUsage(start);
  for (const sealer of sealers) sealer.close();
  return (user + system) / (rounds * batch);
}
