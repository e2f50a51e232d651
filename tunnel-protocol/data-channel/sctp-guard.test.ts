import fc from 'fast-check';
import t from 'tap';
import { checkSctpPacket, maxStreams } from './sctp-guard.ts';
import type { SctpView } from './sctp-guard.ts';

const view: SctpView = { established: true, lastReceived: 1000, nextToSend: 500 };
const header = '1388138800000001' + '00000000';

function packet(...chunks: string[]): Uint8Array {
  return Uint8Array.from(Buffer.from(header + chunks.join(''), 'hex'));
}

const u16 = (value: number): string => value.toString(16).padStart(4, '0');
const u32 = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');

function data({ tsn = 1001, stream = 1, payload = 'aabbccdd' } = {}): string {
  return `0003${u16(16 + payload.length / 2)}${u32(tsn)}${u16(stream)}0000${u32(53)}${payload}`;
}

function sack(cumulative: number, gaps: readonly (readonly [number, number])[] = [], count = gaps.length): string {
  const blocks = gaps.map(([from, to]) => u16(from) + u16(to)).join('');
  return `0300${u16(16 + gaps.length * 4)}${u32(cumulative)}${u32(100_000)}${u16(count)}0000${blocks}`;
}

t.test('what a peer sends', (t) => {
  const good: Record<string, string[]> = {
    data: [data()],
    'data that came before': [data({ tsn: 990 })],
    'data out of order': [data({ tsn: 1500 })],
    'several chunks': [sack(499), data()],
    'acknowledgement with gaps': [
      sack(489, [
        [2, 3],
        [5, 10],
      ]),
    ],
    'cookie echo and data': ['0a000008aabbccdd', data()],
    heartbeat: ['0400000c' + '00010008aabbccdd'],
    'forward TSN': [`c000000c${u32(1004)}00010002`],
  };
  for (const [what, chunks] of Object.entries(good)) t.equal(checkSctpPacket(packet(...chunks), view), null, what);
  const init = '01000014' + '00000001' + '00010000' + '04000400' + '00000001';
  t.equal(checkSctpPacket(packet(init), { ...view, established: false, lastReceived: undefined }), null);
  t.end();
});

t.test('what would hold an implementation up', (t) => {
  const bad: Record<string, [string[], string]> = {
    'a chunk of length 0': [['00000000'], 'chunk-length'],
    'a chunk beyond the packet': [['0003ffff' + u32(1001)], 'chunk-length'],
    'data without content': [['00030010' + u32(1001) + '00010000' + u32(53)], 'chunk-length'],
    'a chunk nobody knows': [['7f000004'], 'unknown-chunk'],
    'a parameter of length 0': [['04000008' + '00010000'], 'parameter-length'],
    'a parameter beyond its chunk': [['04000008' + '0001ffff'], 'parameter-length'],
    'a stream beyond those agreed': [[data({ stream: maxStreams })], 'stream-number'],
    'data far ahead': [[data({ tsn: 1000 + 513 })], 'sequence-number'],
    'an acknowledgement of what was never sent': [[sack(500)], 'acknowledgement'],
    'a gap of what was never sent': [[sack(499, [[1, 60_000]])], 'acknowledgement'],
    'gaps that overlap': [
      [
        sack(480, [
          [2, 5],
          [5, 6],
        ]),
      ],
      'acknowledgement',
    ],
    'a gap that ends before it begins': [[sack(480, [[5, 2]])], 'acknowledgement'],
    'more gaps than there are': [[sack(480, [[2, 3]], 300)], 'chunk-length'],
    'a jump far ahead': [[`c0000008${u32(1000 + 70_000)}`], 'sequence-number'],
    'a beginning in the middle': [['01000014' + '0'.repeat(32)], 'out-of-place'],
  };
  for (const [what, [chunks, fault]] of Object.entries(bad)) {
    t.equal(checkSctpPacket(packet(...chunks), view), fault, what);
  }
  t.equal(checkSctpPacket(packet(data()), { ...view, lastReceived: undefined }), 'out-of-place');
  t.equal(checkSctpPacket(new Uint8Array(11), view), 'too-short');
  t.end();
});

t.test('numbers wrap', (t) => {
  const late: SctpView = { established: true, lastReceived: 0xffff_fff0, nextToSend: 5 };
  t.equal(checkSctpPacket(packet(data({ tsn: 3 })), late), null);
  t.equal(checkSctpPacket(packet(data({ tsn: 0xffff_ff00 })), late), null);
  t.equal(checkSctpPacket(packet(sack(0xffff_fff0, [[3, 20]])), late), null);
  t.equal(checkSctpPacket(packet(sack(0xffff_fff0, [[3, 21]])), late), 'acknowledgement');
  t.end();
});

t.test('random bytes never throw and always end', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      checkSctpPacket(Uint8Array.from([...packet(), ...bytes]), view);
      return true;
    }),
    { numRuns: 2000 },
  );
  t.end();
});
