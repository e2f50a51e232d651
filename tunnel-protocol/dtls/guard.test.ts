import crypto, { type KeyObject } from 'node:crypto';
import t from 'tap';
import { createDtlsCounters, dtlsCounts } from './counters.ts';
import { dtlsCryptoFrom } from './crypto.ts';
import { DtlsGuard } from './guard.ts';
import { decodeFragment, putFragmentHeader } from './handshake-message.ts';
import { RecordProtection } from './protection.ts';
import { HandshakeReassembler } from './reassembler.ts';
import { dtlsContentType, recordBytesAt, recordHeaderBytes } from './record.ts';
import { RecordWriter, type FlightMessage } from './record-writer.ts';
import { dtlsRefusals } from './refusals.ts';

const { aead } = dtlsCryptoFrom<KeyObject>(crypto);
const ours = { key: Buffer.alloc(16, 1), implicitNonce: Buffer.alloc(4, 2) };
const theirs = { key: Buffer.alloc(16, 3), implicitNonce: Buffer.alloc(4, 4) };

function message(type: number, sequence: number, body = Buffer.from('body')): Uint8Array {
  const whole = new Uint8Array(12 + body.length);
  putFragmentHeader(whole, 0, type, body.length, sequence, 0, body.length);
  whole.set(body, 12);
  return whole;
}

const plain = (bytes: Uint8Array): FlightMessage => ({ type: dtlsContentType.handshake, epoch: 0, bytes });
const finished = (sequence: number): FlightMessage => ({ ...plain(message(20, sequence)), epoch: 1 });

/** A guard, and a writer with the peer's keys. */
function setUp(mtu = 1200) {
  const counters = createDtlsCounters();
  const guard = new DtlsGuard({ counters, mtu, roundTripMs: null });
  const peer = new RecordWriter();
  peer.protection = new RecordProtection(aead, theirs, ours);
  const receive = (messages: readonly FlightMessage[], now = 0) => {
    for (const datagram of peer.flight(messages, 1200)) guard.handle(datagram, now);
  };
  const protect = (now = 0) => {
    guard.protect(new RecordProtection(aead, ours, theirs), now);
  };
  const outbound = () => {
    const datagrams: Uint8Array[] = [];
    for (let next = guard.nextOutbound(); next !== null; next = guard.nextOutbound()) datagrams.push(next);
    return datagrams;
  };
  return { counters, guard, peer, receive, protect, outbound };
}

t.test('protected records wait for the keys, a few of them, and each once', (t) => {
  const { counters, guard, peer, receive, protect } = setUp();
  const datagram = peer.flight([finished(1)], 1200)[0] ?? new Uint8Array(0);
  guard.handle(datagram, 0);
  guard.handle(datagram, 10);
  receive([plain(message(1, 0))]);
  t.ok(guard.nextInbound());
  t.equal(guard.nextInbound(), null);
  for (let count = 0; count < 9; count++)
    guard.handle(peer.record(dtlsContentType.applicationData, 1, Buffer.of(count)), 0);
  t.equal(counters.overflow, 2);
  protect();
  t.ok(guard.nextInbound(), 'the Finished');
  t.equal(guard.nextEvent(), null, 'data waits on');
  guard.establish([], 0);
  const data = [];
  for (let event = guard.nextEvent(); event !== null; event = guard.nextEvent()) data.push(event);
  t.equal(data.length, 7);
  t.match(data[0], { type: 'data', bytes: Buffer.of(0) });
  t.equal(counters.undecryptable, 0);
  t.end();
});

t.test('authenticated alerts', (t) => {
  const { counters, guard, peer, protect } = setUp();
  protect();
  guard.handle(peer.record(dtlsContentType.alert, 1, Buffer.of(1, 0)), 0);
  t.same(guard.nextEvent(), { type: 'alert', level: 1, description: 0 });
  guard.handle(peer.record(dtlsContentType.alert, 1, Buffer.of(1)), 0);
  guard.handle(peer.record(dtlsContentType.alert, 0, Buffer.of(2, 40)), 0);
  t.equal(guard.nextEvent(), null);
  t.match(counters, { unexpected: 1, plaintext_alert: 1 });
  t.end();
});

t.test('nothing renegotiates', (t) => {
  const { counters, guard, receive, protect } = setUp();
  protect();
  guard.establish([], 0);
  receive([
    { ...plain(message(1, 7)), epoch: 1 },
    { ...plain(message(0, 0)), epoch: 1 },
    plain(message(1, 0)),
    plain(message(11, 9)),
  ]);
  t.equal(guard.nextInbound(), null);
  t.match(counters, { renegotiation: 2, hello_after_connected: 1, unexpected: 1 });
  t.end();
});

t.test('a Finished belongs in the protected epoch, and alone', (t) => {
  const { counters, guard, receive, protect } = setUp();
  receive([plain(message(20, 0))]);
  protect();
  receive([{ ...plain(message(11, 0)), epoch: 1 }]);
  t.equal(guard.nextInbound(), null);
  t.match(counters, { unexpected: 1, renegotiation: 1 });
  t.end();
});

t.test('the last flight is repeated for a peer that repeats its own, until it sends data', (t) => {
  const { counters, guard, peer, receive, protect, outbound } = setUp();
  receive([plain(message(1, 0))]);
  guard.nextInbound();
  protect();
  const repeated = peer.flight([finished(1)], 1200)[0] ?? new Uint8Array(0);
  guard.handle(repeated, 0);
  guard.nextInbound();
  guard.establish([finished(0)], 0);
  t.equal(outbound().length, 1);
  guard.handle(repeated, 10);
  t.equal(outbound().length, 0, 'a doubled datagram');
  guard.handle(repeated, 100);
  t.equal(outbound().length, 1, 'the same record again');
  receive([finished(1)], 200);
  t.equal(outbound().length, 1, 'the same message in a new record');
  receive([plain(message(11, 0))], 300);
  t.equal(outbound().length, 1, 'an unprotected part of the same flight');
  guard.handle(peer.record(dtlsContentType.applicationData, 1, Buffer.of(1)), 400);
  receive([finished(1)], 500);
  t.equal(outbound().length, 0);
  t.equal(counters.retransmitted, 3);
  t.equal(guard.nextTimeout(), null);
  t.end();
});

t.test('a flight in small datagrams, in other records each time', (t) => {
  const { guard, outbound } = setUp(100);
  guard.send([plain(message(11, 1, Buffer.alloc(300, 7))), plain(message(14, 2, Buffer.alloc(0)))], 0);
  const first = outbound();
  t.ok(first.length >= 4 && first.every((datagram) => datagram.length <= 100));
  t.equal(guard.handleTimeout(150), false);
  const second = outbound();
  t.equal(second.length, first.length);
  t.ok(first.every((datagram, index) => Buffer.compare(datagram, second[index] ?? datagram) !== 0));
  const receiver = new HandshakeReassembler();
  for (const datagram of [...first.slice(0, 2), ...second.slice(1).reverse()]) {
    for (let at = 0; at < datagram.length; at += recordBytesAt(datagram, at)) {
      const fragment = decodeFragment(datagram, at + recordHeaderBytes);
      if (fragment !== null) receiver.add({ ...fragment, sequence: fragment.sequence - 1 });
    }
  }
  t.equal(receiver.take()?.length, 312);
  t.equal(receiver.take()?.length, 12);
  t.end();
});

t.test('a refused message is awaited again', (t) => {
  const { counters, guard, receive } = setUp();
  receive([plain(message(11, 0, Buffer.from('forged')))]);
  t.ok(guard.nextInbound());
  guard.refuse('fingerprint', 0, 0);
  receive([plain(message(11, 0, Buffer.from('honest')))]);
  t.match(Buffer.from(guard.nextInbound() ?? []).toString(), /honest$/);
  t.equal(counters.refused_fingerprint, 1);
  t.equal(guard.nextTimeout(), 5000);
  for (let count = 0; count < 31; count++) guard.refuse('fingerprint', 0, 1000);
  t.equal(guard.nextTimeout(), 1000, 'but not for ever');
  t.equal(guard.handleTimeout(1000), true);
  t.end();
});

t.test('malformed datagrams', (t) => {
  const { counters, guard, peer, receive } = setUp();
  const good = peer.flight([plain(message(1, 0))], 1200)[0] ?? new Uint8Array(0);
  for (const bad of [
    good.subarray(0, 12),
    good.subarray(0, good.length - 1),
    Buffer.concat([Buffer.of(19), good.subarray(1)]),
    Buffer.concat([good.subarray(0, 1), Buffer.of(3, 3), good.subarray(3)]),
  ]) {
    guard.handle(bad, 0);
  }
  t.equal(counters.malformed, 4);
  t.equal(guard.nextInbound(), null);
  guard.handle(Buffer.concat([good, Buffer.of(1, 2, 3)]), 0);
  t.ok(guard.nextInbound(), 'the good part before the bad one counts');
  receive([{ type: dtlsContentType.applicationData, epoch: 0, bytes: Buffer.of(1) }]);
  guard.handle(new Uint8Array(0), 0);
  t.equal(counters.unexpected, 1);
  t.end();
});

t.test('every refusal and every other count has a counter and a sentence', (t) => {
  const names = [...Object.keys(dtlsCounts), ...Object.keys(dtlsRefusals).map((refusal) => `refused_${refusal}`)];
  t.same(Object.keys(createDtlsCounters()).sort(), names.sort());
  t.ok(Object.values({ ...dtlsCounts, ...dtlsRefusals }).every((sentence) => sentence.length > 10));
  t.end();
});
