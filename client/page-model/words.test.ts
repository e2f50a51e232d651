import t from 'tap';
import { clientErrors } from '../errors.ts';
import type { ClientErrorCode } from '../errors.ts';
import { wordsForDevice, wordsForError, wordsForRung } from './words.ts';

t.test('every error has words, never a bare code', (t) => {
  for (const [code, sentence] of Object.entries(clientErrors)) {
    const { title, advice } = wordsForError(code as ClientErrorCode, sentence);
    t.match(title, /^[A-Z].*\.$/, code);
    t.match(advice, /[.)]$/, code);
  }
  t.end();
});

t.test('every failure of a device says that one can go on', (t) => {
  for (const name of ['NotAllowedError', 'NotFoundError', 'NotReadableError', 'OverconstrainedError', 'TypeError']) {
    for (const device of ['camera', 'microphone'] as const) {
      t.match(wordsForDevice(device, name).advice, /You can take part without it\.$/, `${device} ${name}`);
    }
  }
  t.notMatch(wordsForDevice('screen', 'NotAllowedError').advice, /camera/);
  t.match(wordsForDevice('camera', 'InsecureContext').advice, /https:/);
  t.end();
});

t.test('a rung that the page does not have is named', (t) => {
  t.equal(wordsForRung(null, null), null);
  t.equal(wordsForRung('udp', null), null);
  t.match(wordsForRung('websocket', null), { title: /“websocket”.*only udp/, advice: /npx sallyport join/ });
  t.match(wordsForRung(null, 'pigeon'), { title: /“pigeon”/ });
  t.end();
});
