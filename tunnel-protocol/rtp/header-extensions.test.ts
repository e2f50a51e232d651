import fc from 'fast-check';
import t from 'tap';
import { ExtensionCursor, ExtensionWriter, needsTwoByteForm } from './header-extensions.ts';
import { RtpView } from './rtp-view.ts';

/** A packet with this extension; the data is padded to whole words. */
function viewOf(profile: number, data: number[]): RtpView {
  const words = Math.ceil(data.length / 4);
  const packet = new Uint8Array(16 + words * 4);
  packet.set([0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, profile >> 8, profile & 0xff, 0, words]);
  packet.set(data, 16);
  const view = new RtpView();
  view.parse(packet);
  return view;
}

function elements(view: RtpView): [number, number[]][] {
  const cursor = new ExtensionCursor();
  const found: [number, number[]][] = [];
  cursor.start(view);
  while (cursor.next()) {
    found.push([cursor.id, [...view.packet.subarray(cursor.offset, cursor.offset + cursor.length)]]);
  }
  return found;
}

void t.test('one-byte form', (t) => {
  t.same(elements(viewOf(0xbede, [0x10, 0xaa, 0, 0, 0x21, 1, 2, 0x30, 7])), [
    [1, [0xaa]],
    [2, [1, 2]],
    [3, [7]],
  ]);
  t.same(elements(viewOf(0xbede, [0x10, 0xaa, 0xf0, 9, 0x20, 1])), [[1, [0xaa]]], 'id 15 ends it');
  t.same(elements(viewOf(0xbede, [0x10, 0xaa, 0x01, 9, 0x20, 1])), [[1, [0xaa]]], 'id 0 with a length ends it');
  t.same(elements(viewOf(0xbede, [0x10, 0xaa, 0x2f, 9])), [[1, [0xaa]]], 'an element longer than the rest ends it');
  t.same(elements(viewOf(0xbede, [])), []);
  t.end();
});

void t.test('two-byte form, whatever the appbits', (t) => {
  for (const profile of [0x1000, 0x100f]) {
    t.same(elements(viewOf(profile, [1, 1, 0xaa, 0, 200, 0, 15, 2, 5, 6])), [
      [1, [0xaa]],
      [200, []],
      [15, [5, 6]],
    ]);
  }
  t.same(elements(viewOf(0x1000, [1, 1, 9, 7])), [[1, [9]]], 'an id without a length ends it');
  t.same(elements(viewOf(0x1000, [1, 200, 9, 7])), []);
  t.same(elements(viewOf(0x2000, [1, 1, 9, 7])), [], 'another profile is not ours to read');
  t.end();
});

void t.test('find', (t) => {
  const cursor = new ExtensionCursor();
  const view = viewOf(0xbede, [0x10, 0xaa, 0x21, 1, 2]);
  t.ok(cursor.find(view, 2));
  t.match(cursor, { id: 2, offset: 19, length: 2 });
  t.notOk(cursor.find(view, 3));
  const without = new RtpView();
  without.parse(new Uint8Array([0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x10, 0xaa]));
  t.notOk(cursor.find(without, 1), 'a packet without an extension has no elements');
  t.end();
});

void t.test('what is written reads back', (t) => {
  const element = fc.tuple(fc.integer({ min: 1, max: 255 }), fc.uint8Array({ maxLength: 40, size: 'max' }));
  fc.assert(
    fc.property(fc.array(element, { maxLength: 6 }), (list) => {
      const twoByte = list.some(([id, data]) => needsTwoByteForm(id, data.length));
      const packet = new Uint8Array(400);
      packet.set([0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
      const writer = new ExtensionWriter();
      writer.begin(packet, 12, twoByte);
      for (const [id, data] of list) writer.add(id, data, 0, data.length);
      const end = writer.end();
      const view = new RtpView();
      t.equal(view.parse(packet.subarray(0, end)), null);
      t.equal(view.payloadLength, 0);
      t.same(
        elements(view),
        list.map(([id, data]) => [id, [...data]]),
      );
    }),
  );
  t.end();
});

void t.test('a form that cannot carry an element is a misuse', (t) => {
  const writer = new ExtensionWriter();
  writer.begin(new Uint8Array(300), 0, false);
  for (const [id, length] of [
    [0, 1],
    [15, 1],
    [1, 0],
    [1, 17],
  ] as const) {
    t.throws(() => {
      writer.add(id, new Uint8Array(20), 0, length);
    }, RangeError);
  }
  writer.begin(new Uint8Array(300), 0, true);
  t.throws(() => {
    writer.add(256, new Uint8Array(1), 0, 1);
  }, RangeError);
  t.end();
});

void t.test('random extensions never lead outside', (t) => {
  const profile = fc.constantFrom(0xbede, 0x1000, 0x1007);
  fc.assert(
    fc.property(profile, fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 60, size: 'max' }), (form, data) => {
      const view = viewOf(form, data);
      const cursor = new ExtensionCursor();
      cursor.start(view);
      let last = view.extensionOffset;
      while (cursor.next()) {
        if (cursor.offset <= last - 1 || cursor.offset + cursor.length > view.payloadOffset) return false;
        last = cursor.offset + cursor.length;
      }
      return true;
    }),
    { numRuns: 1000 },
  );
  t.end();
});
