import { readFileSync } from 'node:fs';
import t from 'tap';
import { stunAttribute, stunError, stunMethod } from './registry.ts';

interface Registry {
  readonly methods: Record<string, string>;
  readonly attributes: Record<string, string>;
  readonly errors: Record<string, string>;
}

const file = new URL('../../../tunnel-protocol/testdata/stun-registry.json', import.meta.url);
const iana = JSON.parse(readFileSync(file, 'utf8')) as Registry;

const numbers = (table: Record<string, string>): Record<string, number> =>
  Object.fromEntries(Object.entries(table).map(([name, hex]) => [name.replaceAll('-', '_'), parseInt(hex, 16)]));

t.test('names and numbers are those of IANA, both ways', (t) => {
  t.same(stunMethod, numbers(iana.methods));
  t.same(stunAttribute, numbers(iana.attributes));
  t.same(Object.fromEntries(Object.values(stunError).map(({ code, reason }) => [String(code), reason])), iana.errors);
  t.end();
});
