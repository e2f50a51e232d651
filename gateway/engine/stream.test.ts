/** Requests and answers in parts: one suite for the three servers. */
import { once } from 'node:events';
import { connect as connectHttp2, type ClientHttp2Stream } from 'node:http2';
import { Agent, request as requestHttp1 } from 'node:https';
import type { Duplex, Readable, Writable } from 'node:stream';
import t, { type Test } from 'tap';
import { problem, problemReply } from '../problem.ts';
import { engineVariants, startTestPort } from '../testing/port-fixture.ts';
import { testCertificate } from '../testing/tls-fixture.ts';
import type { ExchangeEvents, HttpApplication, HttpExchange } from './index.ts';

class StreamApplication implements HttpApplication {
  readonly webSockets = [];
  readonly events: string[] = [];
  exchange: HttpExchange | null = null;
  received = 0;
  #wake: () => void = () => undefined;

  readonly refuse = () => problemReply(problem('bad-request', 'refused'));
  readonly failed = (error: unknown) => {
    this.note(`failed ${(error as Error).message}`);
    return problemReply(problem('internal', 'failed'));
  };

  readonly route = (head: { readonly path: string }) => ({
    stream: (exchange: HttpExchange): ExchangeEvents => {
      this.exchange = exchange;
      if (head.path === '/throw') throw new Error('at once');
      if (head.path === '/now') exchange.reply({ status: 201, headers: { 'x-a': 'b' }, body: 'now' });
      if (head.path === '/begin' || head.path === '/echo') {
        exchange.begin({ status: 200, headers: { 'x-a': 'b' } });
        exchange.write(Buffer.from('>'));
      }
      this.note('stream');
      return {
        data: (bytes, isLast) => {
          this.received += bytes.length;
          if (head.path === '/throw-later') throw new Error('later');
          if (head.path === '/enough' && this.received > 1000)
            exchange.reply({ status: 413, headers: {}, body: 'enough' });
          if (head.path === '/echo') exchange.write(bytes.slice());
          if (isLast) this.note('last');
          if (isLast && head.path === '/echo') exchange.end();
        },
        drain: () => {
          this.note('drain');
        },
        aborted: () => {
          this.note('aborted');
        },
      };
    },
  });

  note(event: string): void {
    this.events.push(event);
    this.#wake();
  }

  async seen(event: string): Promise<void> {
    while (!this.events.includes(event)) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

interface Outgoing {
  readonly up: Writable;
  /** Resolves with the status and the body to come. */
  readonly answer: Promise<{ readonly status: number; readonly body: Readable }>;
  readonly destroy: () => void;
}

type Ask = (port: number, method: string, path: string) => Outgoing;

const askHttp1: Ask = (port, method, path) => {
  const headers = method === 'POST' ? { 'transfer-encoding': 'chunked' } : {};
  const alpn = { ALPNProtocols: ['http/1.1'] };
  // Told to close, uWebSockets.js may cut what the client has not read yet.
  const agent = new Agent({ keepAlive: true, rejectUnauthorized: false });
  const up = requestHttp1({ host: '127.0.0.1', port, method, path, headers, agent, ...alpn }); // prettier-ignore
  up.on('error', () => undefined);
  up.flushHeaders();
  const answer = once(up, 'response').then(([response]) => {
    const body = response as Readable & { statusCode: number };
    body.on('error', () => undefined);
    return { status: body.statusCode, body };
  });
  answer.catch(() => undefined);
  const destroy = (): void => {
    up.destroy();
    agent.destroy();
  };
  return { up, answer, destroy };
};

const askHttp2: Ask = (port, method, path) => {
  const session = connectHttp2(`https://127.0.0.1:${String(port)}`, { rejectUnauthorized: false });
  session.on('error', () => undefined);
  const stream: ClientHttp2Stream & Duplex = session.request({ ':method': method, ':path': path });
  stream.on('error', () => undefined);
  stream.once('close', () => {
    session.close();
  });
  const answer = once(stream, 'response').then(([head]) => ({
    status: Number((head as Record<string, unknown>)[':status']),
    body: stream,
  }));
  answer.catch(() => undefined);
  return { up: stream, answer, destroy: () => { session.destroy(); } }; // prettier-ignore
};

async function textOf(body: Readable): Promise<string> {
  let text = '';
  try {
    for await (const chunk of body) text += (chunk as Buffer).toString('latin1');
  } catch {
    text += '(broken)';
  }
  return text;
}

const files = await testCertificate(t.testdir());
const engines = await engineVariants();
const variants = [
  ...engines.filter(({ name }) => !name.includes('spliced')).map((engine) => ({ ...engine, ask: askHttp1 })),
  { ...(engines.at(-1) as (typeof engines)[number]), name: 'h2', ask: askHttp2 },
];

for (const { name, engine, libc, skip, ask } of variants) {
  t.test(name, { skip }, (t) => {
    const serve = async (
      t: Test,
    ): Promise<{ application: StreamApplication; open: (method: string, path: string) => Outgoing }> => {
      const application = new StreamApplication();
      const { port } = await startTestPort(t, { engine, libc, files: [files], application });
      return {
        application,
        open: (method, path) => {
          const outgoing = ask(port, method, path);
          t.teardown(outgoing.destroy);
          return outgoing;
        },
      }; // prettier-ignore
    };

    t.test('both ways at once, byte by byte', async (t) => {
      const { application, open } = await serve(t);
      const { up, answer } = open('POST', '/echo');
      const { status, body } = await answer;
      t.equal(status, 200, 'the answer begins before the body is over');
      await once(body, 'data');
      for (const letter of 'hello') {
        up.write(letter);
        const [chunk] = (await once(body, 'data')) as [Buffer];
        t.equal(chunk.toString(), letter);
      }
      up.end();
      t.equal(await textOf(body), '');
      t.strictSame(application.events, ['stream', 'last']);
    });

    t.test('answers at once, and much later', async (t) => {
      const { application, open } = await serve(t);
      const now = open('GET', '/now');
      now.up.end();
      const { status, body } = await now.answer;
      t.equal(status, 201);
      t.equal(await textOf(body), 'now');
      const late = open('GET', '/wait');
      late.up.end();
      await application.seen('last');
      application.exchange?.reply({ status: 202, headers: {}, body: new Uint8Array(70_000).fill(120) });
      const reply = await late.answer;
      t.equal(reply.status, 202);
      t.equal((await textOf(reply.body)).length, 70_000);
      application.exchange?.reply({ status: 500, headers: {}, body: 'twice is once' });
      application.exchange?.write(new Uint8Array(1));
      application.exchange?.end();
    });

    t.test('a client that goes away is told once, and written to no more', async (t) => {
      const { application, open } = await serve(t);
      const { up, answer, destroy } = open('GET', '/begin');
      up.end();
      await answer;
      destroy();
      await application.seen('aborted');
      t.equal(application.exchange?.write(new Uint8Array(10)), true);
      application.exchange?.end();
      t.equal(application.events.filter((event) => event === 'aborted').length, 1);
      const half = open('POST', '/wait');
      half.up.write('some');
      application.events.length = 0;
      application.received = 0;
      await application.seen('stream');
      half.destroy();
      await application.seen('aborted');
      t.notOk(application.events.includes('last'));
    });

    t.test('a reader that stops is told of by write, and drain when it goes on', async (t) => {
      const { application, open } = await serve(t);
      const { up, answer } = open('GET', '/begin');
      up.end();
      const { body } = await answer;
      body.pause();
      let written = 0;
      while (application.exchange?.write(new Uint8Array(16_384)) === true && written < 2000) {
        written++;
        await new Promise((resolve) => setImmediate(resolve));
      }
      t.ok(written < 2000, `full after ${String(written * 16)} KiB`);
      application.events.length = 0;
      let read = 0;
      body.on('data', (chunk: Buffer) => (read += chunk.length));
      body.resume();
      await application.seen('drain');
      application.exchange?.end();
      await once(body, 'end');
      t.equal(read, (written + 1) * 16_384 + 1, 'nothing is lost');
    });

    t.test('an answer before the end of the body', async (t) => {
      const { application, open } = await serve(t);
      const { up, answer } = open('POST', '/enough');
      up.write(new Uint8Array(2000));
      const { status, body } = await answer;
      t.equal(status, 413);
      t.equal(await textOf(body), 'enough');
      up.end();
      t.notOk(application.events.includes('aborted'));
    });

    t.test('what throws becomes a reply, and breaks off what has begun', async (t) => {
      const { application, open } = await serve(t);
      const first = open('GET', '/throw');
      first.up.end();
      t.equal((await first.answer).status, 500);
      const second = open('POST', '/throw-later');
      second.up.write('x');
      t.equal((await second.answer).status, 500);
      t.strictSame(application.events.filter((event) => event.startsWith('failed')), ['failed at once', 'failed later']); // prettier-ignore
      const third = open('GET', '/begin');
      third.up.end();
      const { body } = await third.answer;
      application.exchange?.write(Buffer.from('half'));
      application.exchange?.reply({ status: 500, headers: {}, body: 'too late' });
      t.match(await textOf(body), /^(>|>half)?\(broken\)$/);
    });
    t.end();
  });
}
