import t from 'tap';
import { InMemoryDirectory } from './directory.ts';

t.test('sessions are found until they are removed or swept', async (t) => {
  const directory = new InMemoryDirectory();
  await directory.putSession('a', 'pop1');
  await directory.putSession('b', 'pop1');
  await directory.putSession('c', 'pop2');
  t.equal(await directory.findSession('a'), 'pop1');
  t.equal(await directory.findSession('x'), null);
  await directory.removeSession('a');
  await directory.removeSession('a');
  t.equal(await directory.findSession('a'), null);
  directory.sweep((sessionId) => sessionId === 'c');
  t.equal(directory.size, 1);
  t.equal(await directory.findSession('c'), 'pop2');
  await directory.close();
  t.equal(directory.size, 0);
});
