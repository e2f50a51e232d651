import fc from 'fast-check';
import t from 'tap';
import { encodeRtpHeaderInto } from './rtp-header.ts';
import { RtpView } from './rtp-view.ts';

function bytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}

void t.test('every field', (t) => {
  const view = new RtpView();
  const packet = bytes('b2 e0 1234 89abcdef cafebabe 00000001 00000002 bede0001 10ff0000 0102030405 000003');
  t.equal(view.parse(packet), null);
  t.match(view, {
    packet,
    marker: true,
    payloadType: 96,
    sequenceNumber: 0x1234,
    timestamp: 0x89abcdef,
    ssrc: 0xcafebabe,
    csrcCount: 2,
    extensionProfile: 0xbede,
    extensionOffset: 24,
    extensionLength: 4,
    payloadOffset: 28,
    payloadLength: 5,
    paddingLength: 3,
  });
  t.equal(view.parse(bytes('80 60 0001 00000002 00000003')), null);
  t.match(view, { marker: false, csrcCount: 0, extensionProfile: -1, payloadLength: 0, paddingLength: 0 });
  t.end();
});

void t.test('lengths that lie', (t) => {
  const view = new RtpView();
  const refused: [string, string, string][] = [
    ['', 'truncated', 'nothing'],
    ['80 60 0001 00000002 000000', 'truncated', 'a short header'],
    ['40 60 0001 00000002 00000003', 'version', 'version 1'],
    ['81 60 0001 00000002 00000003', 'truncated', 'a CSRC that is not there'],
    ['90 60 0001 00000002 00000003', 'truncated', 'an extension that is not there'],
    ['90 60 0001 00000002 00000003 bede0001', 'truncated', 'an extension longer than the packet'],
    ['90 60 0001 00000002 00000003 bedeffff 00000000', 'truncated', 'a very long extension'],
    ['a0 60 0001 00000002 00000003', 'padding', 'padding without a byte'],
    ['a0 60 0001 00000002 00000003 00', 'padding', 'padding of 0'],
    ['a0 60 0001 00000002 00000003 0102030406', 'padding', 'padding longer by one than what is left'],
    ['b0 60 0001 00000002 00000003 bede0001 10000002', 'padding', 'padding inside the extension'],
  ];
  for (const [hex, error, why] of refused) t.equal(view.parse(bytes(hex)), error, why);
  t.equal(view.parse(bytes('a0 60 0001 00000002 00000003 0102030405')), null, 'nothing but padding');
  t.match(view, { payloadLength: 0, paddingLength: 5 });
  t.end();
});

void t.test('random bytes: offsets stay inside', (t) => {
  const view = new RtpView();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120, size: 'max' }), (packet) => {
      if (packet.length > 0) packet[0] = 0x80 | ((packet[0] as number) & 0x3f);
      if (view.parse(packet) !== null) return true;
      return (
        view.payloadLength >= 0 &&
        view.payloadOffset + view.payloadLength + view.paddingLength === packet.length &&
        view.extensionOffset + view.extensionLength <= view.payloadOffset
      );
    }),
    { numRuns: 2000 },
  );
  t.end();
});

void t.test('a written header reads back', (t) => {
  const view = new RtpView();
  fc.assert(
    fc.property(
      fc.record({
        marker: fc.boolean(),
        payloadType: fc.integer({ min: 0, max: 127 }),
        sequenceNumber: fc.integer({ min: 0, max: 0xffff }),
        timestamp: fc.integer({ min: 0, max: 0xffff_ffff }),
        ssrc: fc.integer({ min: 0, max: 0xffff_ffff }),
      }),
      (fields) => {
        const packet = new Uint8Array(16);
        t.equal(encodeRtpHeaderInto(packet, 0, fields, false), 12);
        t.equal(view.parse(packet), null);
        t.match(view, { ...fields, payloadLength: 4 });
      },
    ),
  );
  t.end();
});
