import t from 'tap';
import { closeCodes } from '../control/close-codes.ts';
import { ConnectionBook } from './connection-book.ts';
import type { ExchangeHeader } from './exchange-header.ts';
import { exchangeFlag } from './exchange-header.ts';

function header(count: number, flags: number = exchangeFlag.fresh): ExchangeHeader {
  const connection = count.toString(16).padStart(16, '0');
  return { flags, close: 0, connection, generation: count, exchange: 1, oldest: 1, first: 1, ack: 0, holdMs: 0, gatherMs: 0 }; // prettier-ignore
}

t.test('who may make a connection', (t) => {
  const book = new ConnectionBook<string>();
  t.equal(book.find('s', header(5)), 'new');
  t.equal(book.find('s', header(5, 0)), closeCodes.idle.wire, 'one that was there, but not here');
  book.add('s', header(5), 'five');
  t.equal(book.find('s', header(5, 0)), 'five');
  t.equal(book.find('other', header(5, 0)), closeCodes.idle.wire, 'a session sees its own');
  t.equal(book.find('s', header(4)), closeCodes.replaced.wire, 'a late request of an older one');
  t.equal(book.find('s', header(6)), 'new');
  book.add('s', header(6), 'six');
  book.end('s', header(5).connection, closeCodes.kicked.wire);
  t.equal(book.find('s', header(5)), closeCodes.kicked.wire, 'its own code, also if it comes as a fresh one');
  t.equal(book.find('s', header(6)), 'six');
  book.end('s', 'unheard-of', 4000);
  t.end();
});

t.test('what it remembers is bounded', (t) => {
  const book = new ConnectionBook<string>();
  for (let i = 1; i <= 100; i++) {
    book.add('s', header(i), 'c');
    book.end('s', header(i).connection, closeCodes.idle.wire);
  }
  t.equal(book.find('s', header(99)), closeCodes.idle.wire);
  t.equal(book.find('s', header(1)), closeCodes.replaced.wire, 'forgotten, and refused all the same');
  book.sweep(() => true);
  t.equal(book.sessions, 1);
  book.sweep(() => false);
  t.equal(book.sessions, 0);
  t.end();
});
