import t from 'tap';
import { bitrateText, colourIndex, initials, lossText, millisecondsText, pictureText, secondsText } from './format.ts';

/** With a plain space for the no-break space between number and unit. */
function plain(text: string): string {
  return text.replaceAll('\u00a0', ' ');
}

t.test('figures', (t) => {
  t.same(
    [null, 0, 999, 64_400, 999_499, 999_500, 2_345_678].map((rate) => plain(bitrateText(rate))),
    ['–', '0 kbit/s', '0 kbit/s', '64 kbit/s', '999 kbit/s', '1.0 Mbit/s', '2.3 Mbit/s'],
  );
  t.same(
    [null, 0, -0.1, 0.0001, 0.0123, 0.25, 1.5].map((loss) => plain(lossText(loss))),
    ['–', '0 %', '0 %', '0.1 %', '1.2 %', '25 %', '100 %'],
  );
  t.same(
    [null, 0.42, 9.94, 9.96, 123.4].map((ms) => plain(millisecondsText(ms))),
    ['–', '0.4 ms', '9.9 ms', '10 ms', '123 ms'],
  );
  t.same(
    [null, 421].map((ms) => plain(secondsText(ms))),
    ['–', '0.42 s'],
  );
  t.equal(plain(pictureText({ width: 640, height: 360, framesPerSecond: 24.6 })), '640 × 360, 25 fps');
  t.equal(pictureText({ width: 0, height: 0, framesPerSecond: 0 }), '–');
  t.equal(pictureText(null), '–');
  t.end();
});

t.test('initials', (t) => {
  t.same(['Ada Lovelace', 'ada', ' Grace  Brewster Murray Hopper ', '', '😀 smile'].map(initials), [
    'AL',
    'A',
    'GH',
    '?',
    '😀S',
  ]);
  t.end();
});

t.test('a person keeps a colour', (t) => {
  t.equal(colourIndex('ada', 6), colourIndex('ada', 6));
  for (const name of ['', 'a', 'ada', 'ÄÖ😀']) {
    const index = colourIndex(name, 6);
    t.ok(index >= 0 && index < 6);
  }
  t.end();
});
