/** What a tunnel of HTTP requests costs when its client is slow, silent or gone: real sockets, no SFU. */
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { Agent, request } from 'node:https';
import type { Readable } from 'node:stream';
import t, { type Test } from 'tap';
import {
  closeCodes,
  exchangeQuery,
  flowLimits,
  forEachFrame,
  headerOfQuery,
  lane,
  type ExchangeCarrier,
  type ExchangeHeader,
  type SendMeta,
} from '../tunnel-protocol/index.ts';
import { GatewayCounters } from './counters.ts';
import type { ExchangeEvents, HttpApplication, HttpExchange, RequestHead } from './engine/index.ts';
import { ExchangePath } from './exchange-path.ts';
import { FlushQueue } from './flush-queue.ts';
import { HttpCall } from './http-call.ts';
import { problem, problemReply } from './problem.ts';
import { engineVariants, startTestPort } from './testing/port-fixture.ts';
import { testCertificate } from './testing/tls-fixture.ts';
import { tunnelLimits } from './tunnel-path.ts';

const connection = '00112233445566aa';
const video: SendMeta = { lane: lane.video, frameId: 0, keyFrame: false, discardable: true, deadlineMs: 60_000 };
/** Without frames: one that is dropped takes no other along. */
const audio: SendMeta = { ...video, lane: lane.audio };
const control: SendMeta = { lane: lane.control, frameId: 0, keyFrame: false, discardable: false, deadlineMs: 0 };

/** One path, whose clock can be put forward. */
class PathApplication implements HttpApplication {
  readonly webSockets = [];
  readonly counters = new GatewayCounters();
  readonly path: ExchangePath;
  ended = 0;
  aheadMs = 0;
  opened = 0;
  aborted = 0;
  #wake: () => void = () => undefined;

  constructor(carrier: ExchangeCarrier) {
    this.path = new ExchangePath({
      carrier,
      connection,
      remote: { address: '127.0.0.1', port: 0 },
      receive: () => undefined,
      traffic: this.counters.longPoll,
      flushes: new FlushQueue(),
      now: () => performance.now() + this.aheadMs,
      ended: (_path, wire) => {
        this.ended = wire;
        this.#wake();
      },
    });
  }

  readonly refuse = () => problemReply(problem('bad-request', 'refused'));
  readonly failed = (error: unknown) => problemReply(problem('internal', String(error)));

  readonly route = (head: RequestHead) => ({
    stream: (exchange: HttpExchange): ExchangeEvents => {
      const call = new HttpCall(exchange, false, {});
      const header = headerOfQuery(head.query) as ExchangeHeader;
      if (head.method === 'POST') this.path.upload(header, call);
      else if (this.path.kind === 'http-stream') this.path.download(header, call);
      else this.path.request(header, new Uint8Array(0), call);
      this.opened++;
      this.#wake();
      return {
        data: () => undefined,
        drain: () => {
          this.path.drained(call);
        },
        aborted: () => {
          this.path.aborted(call);
          this.aborted++;
          this.#wake();
        },
      };
    },
  });

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

type Get = (
  port: number,
  query: string,
  method?: 'GET' | 'POST',
) => { readonly answer: Promise<Readable>; readonly destroy: () => void };

const getHttp1: Get = (port, query, method = 'GET') => {
  const agent = new Agent({ keepAlive: true, rejectUnauthorized: false });
  const outgoing = request({
    host: '127.0.0.1',
    port,
    method,
    path: `/?${query}`,
    agent,
    ...{ ALPNProtocols: ['http/1.1'] },
  });
  outgoing.on('error', () => undefined);
  if (method === 'GET') outgoing.end();
  else outgoing.flushHeaders();
  const answer = once(outgoing, 'response').then(([response]) => response as Readable);
  return { answer, destroy: () => { outgoing.destroy(); agent.destroy(); } }; // prettier-ignore
};

const getHttp2: Get = (port, query, method = 'GET') => {
  const session = connectHttp2(`https://127.0.0.1:${String(port)}`, { rejectUnauthorized: false });
  session.on('error', () => undefined);
  const stream = session.request({ ':method': method, ':path': `/?${query}` });
  stream.on('error', () => undefined);
  const answer = once(stream, 'response').then(() => stream as Readable);
  return { answer, destroy: () => { session.destroy(); } }; // prettier-ignore
};

function query(exchange = 1, fields: Partial<ExchangeHeader> = {}): string {
  const header = { flags: 3, close: 0, connection, generation: 1, exchange, oldest: 1, first: 1, ack: 0, holdMs: 15_000, gatherMs: 20 }; // prettier-ignore
  return exchangeQuery({ ...header, ...fields });
}

const files = await testCertificate(t.testdir());
const engines = (await engineVariants()).filter(({ name }) => !name.includes('spliced'));
const variants = [
  ...engines.map((engine) => ({ ...engine, get: getHttp1 })),
  { ...(engines.at(-1) as (typeof engines)[number]), name: 'h2', get: getHttp2 },
];

for (const { name, engine, libc, skip, get } of variants) {
  t.test(name, { skip }, (t) => {
    const serve = async (t: Test, carrier: ExchangeCarrier) => {
      const application = new PathApplication(carrier);
      const { port } = await startTestPort(t, { engine, libc, files: [files], application });
      t.teardown(() => {
        application.path.forget();
      });
      const open = (text: string) => {
        const { answer, destroy } = get(port, text);
        t.teardown(destroy);
        return answer;
      };
      const openAndLeave = async (text: string): Promise<void> => {
        const { opened, aborted } = application;
        const { answer, destroy } = get(port, text, 'POST');
        answer.catch(() => undefined);
        await application.until(() => application.opened > opened);
        destroy();
        await application.until(() => application.aborted > aborted);
      };
      return { application, path: application.path, open, openAndLeave };
    };

    t.test('a reader that stops: what waits is bounded, and it is closed in the end', async (t) => {
      const { application, path, open } = await serve(t, 'http-stream');
      const response = await open(query());
      response.pause();
      const { longPoll: traffic } = application.counters;
      const packet = 1200;
      for (let i = 0; i < 20_000; i++) {
        path.send(new Uint8Array(packet).fill(0x80), video);
        if (i % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      t.ok(traffic.dropped['queue-full'] > 0, 'what does not fit is dropped');
      const accepted = 20_000 - traffic.dropped['queue-full'] - traffic.sent;
      t.ok(accepted * packet <= flowLimits.maxMediaBytes + packet, 'the rest waits in the queue');
      path.checkStalled(performance.now());
      t.equal(path.closed, false, 'not yet');
      application.aheadMs += tunnelLimits.stalledMs;
      path.checkStalled(performance.now() + application.aheadMs);
      await application.until(() => application.ended !== 0);
      t.equal(application.ended, closeCodes['slow-reader'].wire);
      t.equal(path.send(new Uint8Array(10).fill(0x80), video), false);
    });

    t.test('a reader that stops, but opens and leaves other requests, is closed all the same', async (t) => {
      const { application, path, open, openAndLeave } = await serve(t, 'http-stream');
      const response = await open(query());
      response.pause();
      // The sockets take more and more for a while.
      const { longPoll: traffic } = application.counters;
      for (let sent = -1, since = performance.now(); performance.now() - since < 300;) {
        if (traffic.sent !== sent) [sent, since] = [traffic.sent, performance.now()];
        for (let i = 0; i < 100; i++) path.send(new Uint8Array(1200).fill(0x80), audio);
        await new Promise((resolve) => setImmediate(resolve));
      }
      application.aheadMs += tunnelLimits.stalledMs - 1000;
      await openAndLeave(query(2));
      application.aheadMs += 1000;
      path.checkStalled(performance.now() + application.aheadMs);
      await application.until(() => application.ended !== 0);
      t.equal(application.ended, closeCodes['slow-reader'].wire);
    });

    t.test('a reader that goes on gets the rest', async (t) => {
      const { path, open } = await serve(t, 'http-stream');
      const response = await open(query());
      response.pause();
      let sent = 0;
      for (; sent < 400; sent++) path.send(new Uint8Array(1200).fill(0x80), video);
      let read = 0;
      response.on('data', (chunk: Buffer) => (read += chunk.length));
      response.resume();
      while (read < 400 * 1202) await once(response, 'data');
      t.equal(read, 400 * 1202 + 38);
    });

    t.test('control frames that nobody takes close the tunnel, and are not dropped', async (t) => {
      const { application, path } = await serve(t, 'long-poll');
      let taken = 0;
      while (path.send(new Uint8Array(2000).fill(0xf5), control)) taken++;
      t.ok(taken * 2000 <= flowLimits.maxReliableBytes);
      await application.until(() => application.ended !== 0);
      t.equal(application.ended, closeCodes['slow-reader'].wire);
    });

    t.test('a held request is answered at once, and those that are gone are forgotten', async (t) => {
      const { application, path, open } = await serve(t, 'long-poll');
      const gone = open(query(1));
      gone.catch(() => undefined);
      const held = open(query(2));
      await application.until(() => application.opened === 2);
      path.send(Uint8Array.of(0xf3, 0, 0, 0, 1, 0, 0, 0, 1), control);
      const response = await Promise.race([gone, held]);
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      const frames: number[] = [];
      forEachFrame(Buffer.concat(chunks), (frame) => frames.push(frame[0] as number));
      t.strictSame(frames, [0xfc, 0xf3]);
    });

    t.test('a client that says nothing any more', async (t) => {
      const { application, path, open } = await serve(t, 'http-stream');
      const response = await open(query());
      application.aheadMs += 30_000;
      path.checkStalled(performance.now() + application.aheadMs);
      await application.until(() => application.ended !== 0);
      t.equal(application.ended, closeCodes.idle.wire);
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      const all = Buffer.concat(chunks);
      t.equal(all.readUInt16BE(all.length - 38 + 4), closeCodes.idle.wire, 'and is told, if it listens');
    });
    t.end();
  });
}
