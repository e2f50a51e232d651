import t from 'tap';
import { controlRungs } from '../../tunnel-protocol/index.ts';
import { clientErrors } from '../errors.ts';
import type { ClientErrorCode } from '../errors.ts';
import { nativeRungs } from './ice-plan.ts';
import { wordsForDevice, wordsForError, wordsForLostRung, wordsForRung } from './words.ts';

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
  for (const rung of nativeRungs) t.equal(wordsForRung(rung, null), null, rung);
  for (const rung of controlRungs) {
    t.match(wordsForRung(rung, null), { title: `“${rung}”, which this page does not have yet` }, rung);
    t.match(wordsForRung(rung, null), { advice: /udp, turn-udp, .*npx sallyport join/ });
  }
  t.match(wordsForRung(null, 'pigeon'), { title: /“pigeon”.*does not exist/ });
  t.end();
});

t.test('a rung that the server does not offer, or that does not get through, is named', (t) => {
  t.match(wordsForLostRung('turn-udp', 'rung-unavailable'), {
    title: /“turn-udp”, which this server does not offer/,
    advice: /Remove “rung”/,
  });
  t.match(wordsForLostRung('ice-tcp', 'media-unreachable'), {
    title: /cannot get through by ICE over TCP/,
    advice: /only the rung “ice-tcp”.*Remove “rung”/,
  });
  t.end();
});
