import { join } from 'node:path';

/** The path of a file of sfu/testdata/, seen from the compiled tests in dist/sfu/testing/. */
export function testdata(name: string): string {
  return join(import.meta.dirname, '../../../sfu/testdata', name);
}
