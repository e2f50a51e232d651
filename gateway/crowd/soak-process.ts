/**
 * The clients of a soak, in a process of their own: started by soak.ts, which sends the plan. Connections of each kind
 * are cut in each of their stages in turn, by a reset or an end.
 */
import type { Socket } from 'node:net';
import { captureHello } from '../demux/testing-hello.ts';
import { dial, tcpBelow } from '../testing/dial.ts';
import type { CrowdKind, CrowdPlan, SoakPlan, SoakReport } from './plan.ts';
import { openers } from './visits.ts';

const concurrency = 48;

interface Kind {
  readonly name: string;
  /** The first bytes that a client of the kind sends. */
  readonly opening: Uint8Array;
  /** What it offers; null where there is no TLS. */
  readonly alpn: readonly string[] | null;
  /** What it says first after the handshake, for those cut in the midst of it. */
  readonly request: string;
  /** How it is served to the end; null for those that nobody serves. */
  readonly served: CrowdKind | null;
}

const get = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';
const stun = '000300082112a442000102030405060708090a0b0019000411000000';
const bytesOf = (hex: string): Buffer => Buffer.from(hex, 'hex');

process.once('message', (plan) => {
  void run(plan as SoakPlan).then(() => process.send?.(null));
});
process.once('disconnect', () => process.exit());

async function run(plan: SoakPlan): Promise<void> {
  const tls = async (name: string, served: CrowdKind | null, alpn: readonly string[], request = get): Promise<Kind> => {
    const opening = await captureHello(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] });
    return { name, opening, alpn, request, served };
  };
  const plain = (name: string, served: CrowdKind | null, opening: Uint8Array): Kind => {
    return { name, opening, alpn: null, request: '', served };
  };
  const stunText = bytesOf(stun).toString('latin1');
  const kinds = [
    plain('plain-http', null, Buffer.from(get)),
    plain('turn-tcp', 'turn-tcp', bytesOf(stun)),
    plain('ice-tcp', 'ice-tcp', bytesOf(`001c${stun}`)),
    plain('garbage', null, Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')),
    await tls('http1', 'http1', ['http/1.1']),
    await tls('websocket', 'websocket', ['http/1.1'], get.replace('\r\n\r\n', '\r\nupgrade: websocket\r\n\r\n')),
    await tls('h2', 'h2', ['h2'], 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    await tls('http1 without ALPN', null, []),
    await tls('turn-tls', 'turn-tls', [], stunText),
  ];
  for (const kind of kinds) {
    if (plan.onlyKind !== null && plan.onlyKind !== kind.name) continue;
    const started = performance.now();
    let next = 0;
    let served = 0;
    let unserved = 0;
    const worker = async (): Promise<void> => {
      for (let index = next++; index < plan.count; index = next++) {
        const outcome = await visit(plan, kind, index).catch(() => false);
        if (outcome === true) served++;
        else if (outcome === false) unserved++;
      }
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
    const report: SoakReport = { kind: kind.name, served, unserved, seconds: (performance.now() - started) / 1000 };
    process.send?.(report);
  }
}

/** True or false: it was, or was not, served to the end; null: it was cut before. */
async function visit(plan: CrowdPlan, kind: Kind, index: number): Promise<boolean | null> {
  const { opening, alpn, request, served } = kind;
  const stages = alpn === null ? 5 : 8;
  const stage = index % stages;
  const turn = Math.floor(index / stages);
  if (stage < 4) {
    const length = [0, 1, opening.length >> 1, opening.length][stage] ?? 0;
    await cut(await speak(await dial(plan.port, { alpn: null }), opening.subarray(0, length)), turn);
    return null;
  }
  if (stage < stages - 1) {
    const length = [0, request.length >> 1, request.length][stage - 4] ?? 0;
    await cut(await speak(await dial(plan.port, { alpn }), Buffer.from(request, 'latin1').subarray(0, length)), turn);
    return null;
  }
  if (served === null) {
    const socket = await dial(plan.port, { alpn });
    const answered = new Promise<boolean>((resolve) => {
      socket.once('data', () => {
        resolve(true);
      });
      socket.once('close', () => {
        resolve(kind.name === 'garbage');
      });
    });
    await speak(socket, alpn === null ? opening : Buffer.from(request));
    const outcome = await answered;
    await cut(socket, turn);
    return outcome;
  }
  const { socket, use } = await openers[served](plan, index);
  const outcome = await use();
  await cut(socket, turn);
  return outcome;
}

async function speak(socket: Socket, bytes: Uint8Array): Promise<Socket> {
  if (bytes.length > 0) await new Promise((resolve) => socket.write(bytes, resolve));
  return socket;
}

/** By a reset or an end, at once or after the server has had a turn. */
async function cut(secured: Socket, turn: number): Promise<void> {
  const socket = tcpBelow(secured);
  if ((turn & 1) === 0) await new Promise((resolve) => setImmediate(resolve));
  if (socket.destroyed) return;
  const closed = new Promise((resolve) => socket.once('close', resolve));
  if ((turn & 2) === 0) socket.resetAndDestroy();
  else socket.destroy();
  await closed;
}
