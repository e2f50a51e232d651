import t from 'tap';
import { EdgeRing } from './edge-ring.ts';

t.test('URLs move to the edge that is to be tried', (t) => {
  const ring = new EdgeRing(['https://b.example:8443', 'https://c.example']);
  const url = 'wss://a.example/tunnel/v1/ws?lane=audio';
  t.equal(ring.at(url), url);
  ring.next();
  t.equal(ring.at(url), 'wss://b.example:8443/tunnel/v1/ws?lane=audio');
  ring.next();
  t.equal(ring.at('https://a.example:8443/tunnel/v1/poll'), 'https://c.example:8443/tunnel/v1/poll');
  ring.next();
  t.equal(ring.at(url), url, 'and around');
  ring.leaveFor('https://d.example:9443');
  t.equal(ring.at(url), 'wss://d.example:9443/tunnel/v1/ws?lane=audio');
  ring.leaveFor('https://b.example:8443');
  t.equal(ring.at(url), 'wss://b.example:8443/tunnel/v1/ws?lane=audio');
  ring.leaveFor('not a URL');
  ring.leaveFor('');
  t.equal(ring.at(url), 'wss://d.example:9443/tunnel/v1/ws?lane=audio', 'where none is named, the next one');
  const alone = new EdgeRing();
  alone.next();
  t.equal(alone.at(url), url);
  t.end();
});
