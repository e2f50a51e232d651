import t from 'tap';
import { rungs } from '../../tunnel-protocol/index.ts';
import { clientErrors } from '../errors.ts';
import type { ClientErrorCode } from '../errors.ts';
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

t.test('what a browser lacks for a rung is named', (t) => {
  t.equal(wordsForRung(null, null, 'Web Codecs'), null);
  for (const rung of rungs) t.equal(wordsForRung(rung, null), null, rung);
  t.match(wordsForRung('websocket', null, 'Web Codecs'), {
    title: /“websocket”, for which this browser lacks Web Codecs\.$/,
    advice: /Remove “rung”/,
  });
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
