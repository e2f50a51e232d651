import { readFile } from 'node:fs/promises';
import type { SrtpWasm } from '../tunnel-protocol/index.ts';

/** As much of the engine's global as is used here; Node's types do not tell of it. */
declare const WebAssembly: {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: object } }>;
};

/** An instance of its own of what `npm run build` made of `tunnel-protocol/srtp/wasm/`. Rejects when it was not built. */
export async function loadSrtpWasm(): Promise<SrtpWasm> {
  const bytes = await readFile(new URL('../tunnel-protocol/srtp/engine.wasm', import.meta.url));
  const { instance } = await WebAssembly.instantiate(bytes, {});
  return instance.exports as SrtpWasm;
}
