import t from 'tap';
import { afterClose, closeCodeOf, closeCodes } from './close-codes.ts';

t.test('numbers are private WebSocket codes, unique, and their hundred tells what to do', (t) => {
  const wires = Object.values(closeCodes).map(({ wire }) => wire);
  t.equal(new Set(wires).size, wires.length);
  for (const [code, { wire, then }] of Object.entries(closeCodes)) {
    t.ok(wire >= 4000 && wire <= 4999, code);
    t.equal(afterClose(wire), then, code);
    t.equal(closeCodeOf(wire), code);
  }
  t.end();
});

t.test('numbers outside the catalogue', (t) => {
  t.equal(closeCodeOf(4099), null);
  t.equal(closeCodeOf(1006), null);
  t.equal(afterClose(1000), 'stop');
  t.equal(afterClose(1006), 'resume', 'a browser reports a lost connection so');
  t.equal(afterClose(1012), 'resume');
  t.equal(afterClose(4099), 'stop');
  t.equal(afterClose(4199), 'resume');
  t.equal(afterClose(4999), 'rejoin');
  t.end();
});
