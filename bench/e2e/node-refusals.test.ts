/** What Node clients and edges refuse each other, and joins that are called off. */
import t from 'tap';
import { Agent, fetch } from 'undici';
import type { NodeCall } from '../../client/index.ts';
import { startEdge } from './edge.ts';
import { joinInsecurely, publishClip, withEdge, testTimeoutMs } from './node-tools.ts';
import { startTamperingProxy } from './tampering-proxy.ts';

t.setTimeout(testTimeoutMs);

t.test('a media server that is not the one of signalling is refused', async (t) => {
  const { edge, joined, cleanUp } = await withEdge(t);
  const proxy = await startTamperingProxy(edge.url, (message) => {
    const at = message.indexOf('a=fingerprint:sha-256 ');
    if (at < 0) return message;
    const changed = Buffer.from(message);
    const digit = at + 'a=fingerprint:sha-256 '.length;
    changed[digit] = changed[digit] === 0x41 ? 0x42 : 0x41;
    return changed;
  });
  cleanUp(() => proxy.close());
  // It takes the handshake's patience with forged datagrams, 5 s.
  await t.rejects(joinInsecurely(proxy.url, { room: 'r' }), { code: 'fingerprint-mismatch' });
  const call = await joined(edge.url, { room: 'r' });
  t.same(call.participants, [], 'who was refused is not left standing in the room');
});

t.test('tokens', async (t) => {
  const { edge, joined } = await withEdge(t, { SALLYPORT_AUTH: 'token' });
  const grant = { room: 'r', identity: 'ada', name: null, can: ['subscribe'] as const, hidden: false };
  const token = await edge.tokens.issueJoinToken(grant, 60);
  await t.rejects(joinInsecurely(edge.url, { room: 'r' }), { code: 'token-missing' });
  await t.rejects(joinInsecurely(edge.url, { room: 'r', token: 'nonsense' }), { code: 'token-invalid' });
  await t.rejects(joinInsecurely(edge.url, { room: 'other', token }), { code: 'token-wrong-room' });
  await t.rejects(joinInsecurely(edge.url, { room: 'r', token: await edge.tokens.issueJoinToken(grant, -3600) }), {
    code: 'token-expired',
  });
  const call = await joined(edge.url, { room: 'r', token });
  t.equal(call.self.identity, 'ada');
  await t.rejects(publishClip(call), { code: 'forbidden' });
});

t.test('certificates, and a join that is called off at any moment', async (t) => {
  const { edge, joined } = await withEdge(t);
  await t.rejects(joinInsecurely(edge.url, { room: 'r', insecure: false }), { code: 'certificate-untrusted' });
  for (const step of ['session', 'control', 'negotiated', 'media'] as const) {
    const abort = new AbortController();
    const joining = joinInsecurely(edge.url, {
      room: 'r',
      signal: abort.signal,
      onStep: (reached) => {
        if (reached === step) abort.abort();
      },
    });
    // At the last step the call exists already: the signal has no effect any more.
    if (step === 'media') await (await joining).leave();
    else await t.rejects(joining, { code: 'aborted' }, step);
  }
  const call = await joined(edge.url, { room: 'r' });
  t.same(call.participants, []);
});

t.test('the server ends a call: the client says why', async (t) => {
  const edge = await startEdge();
  t.teardown(() => edge.close());
  const endOf = (call: NodeCall): Promise<string | undefined> =>
    new Promise((resolve) => {
      call.on('closed', ({ error }) => {
        resolve(error?.code);
      });
    });
  const kicked = await joinInsecurely(edge.url, { room: 'r' });
  const end = endOf(kicked);
  const admin = { room: '*', identity: 'admin', name: null, can: ['admin'] as const, hidden: false };
  const agent = new Agent({ connect: { rejectUnauthorized: false } });
  const { status } = await fetch(`${edge.url}/v1/rooms/r/participants/${kicked.self.id}/kick`, {
    method: 'POST',
    dispatcher: agent,
    headers: { authorization: `Bearer ${await edge.tokens.issueJoinToken(admin, 60)}` },
  });
  t.equal(status, 204);
  t.equal(await end, 'kicked');
  await agent.close();
  await t.rejects(kicked.status({}), { code: 'left' });

  const call = await joinInsecurely(edge.url, { room: 'r' });
  const stopped = endOf(call);
  await edge.close();
  t.match(await stopped, /^session-/);
  await call.leave();
});
