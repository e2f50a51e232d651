import fc from 'fast-check';
import t from 'tap';
import { fuzz } from './fuzz.ts';
import { SendIndication } from './send-indication.ts';
import { MemoryServer } from './testing/memory-server.ts';

t.test('random, mutated and correctly signed nonsense', async (t) => {
  const result = await fuzz(5000, Math.floor(Math.random() * 1e6));
  t.same(result.errors, []);
  t.same([result.allocationsLeft, result.socketsLeft], [0, 0]);
  for (const figure of ['answered', 'relayed', 'streams'] as const) t.ok(result[figure] > 20, `${figure} is reached`);
});

t.test('any datagram', (t) => {
  const network = new MemoryServer();
  const client = network.client();
  const indication = new SendIndication();
  const first = fc.constantFrom(0, 0, 0, 1, 0x40, 0x41, 0x80, 0xf0);
  const rest = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(first, rest, (first, rest) => {
      const bytes = Uint8Array.of(first, ...rest);
      client.raw(bytes);
      indication.read(bytes);
      return network.errors.length === 0;
    }),
    { numRuns: 2000 },
  );
  t.end();
});
