import t from 'tap';
import { callLink, inviteLink, readLink, withTokenInFragment } from './link.ts';

t.test('an address without parameters asks for nothing', (t) => {
  t.same(readLink('https://edge.example/'), {
    room: '',
    name: '',
    join: false,
    rung: null,
    unknownRung: null,
    token: '',
    tokenInQuery: false,
  });
  t.end();
});

t.test('all parameters', (t) => {
  t.same(readLink('https://edge.example/?room=stand%20up&name=Ada&join=1&rung=websocket#token=a.b.c'), {
    room: 'stand up',
    name: 'Ada',
    join: true,
    rung: 'websocket',
    unknownRung: null,
    token: 'a.b.c',
    tokenInQuery: false,
  });
  t.end();
});

t.test('join needs a room, and a rung must be one of the ladder', (t) => {
  const link = readLink('https://edge.example/?join=1&rung=pigeon');
  t.equal(link.join, false);
  t.equal(link.rung, null);
  t.equal(link.unknownRung, 'pigeon');
  t.end();
});

t.test('a token in the query is used and moved into the fragment', (t) => {
  const href = 'https://edge.example/?room=r&token=a.b.c';
  t.match(readLink(href), { token: 'a.b.c', tokenInQuery: true });
  const moved = withTokenInFragment(href);
  t.equal(moved, 'https://edge.example/?room=r#token=a.b.c');
  t.match(readLink(moved), { room: 'r', token: 'a.b.c', tokenInQuery: false });
  t.equal(withTokenInFragment(moved), moved);
  t.end();
});

t.test('the fragment wins over the query', (t) => {
  const href = 'https://edge.example/?token=logged#token=private';
  t.equal(readLink(href).token, 'private');
  t.equal(withTokenInFragment(href), 'https://edge.example/#token=private');
  t.end();
});

t.test('an invitation holds the room alone; the page keeps its fragment', (t) => {
  const href = 'https://edge.example/?room=old&name=Ada&join=1#token=a.b.c';
  t.equal(inviteLink(href, 'a & b'), 'https://edge.example/?room=a+%26+b');
  t.equal(callLink(href, 'new'), 'https://edge.example/?room=new&name=Ada&join=1#token=a.b.c');
  t.end();
});
