/** Sets of addresses, written as CIDR blocks or single addresses. */
import { parseIpAddress } from '../../tunnel-protocol/index.ts';
import { parseAddress } from '../addresses.ts';

interface Block {
  readonly bytes: Uint8Array;
  readonly bits: number;
}

export class NetworkSet {
  readonly #blocks: readonly Block[];

  /** Throws for what is no block. */
  constructor(blocks: readonly string[]) {
    this.#blocks = blocks.map(parseBlock);
  }

  get empty(): boolean {
    return this.#blocks.length === 0;
  }

  /** Takes a canonical address. */
  has(address: string): boolean {
    if (this.#blocks.length === 0) return false;
    const bytes = parseIpAddress(address);
    return bytes !== null && this.#blocks.some((block) => contains(block, bytes));
  }
}

function parseBlock(text: string): Block {
  const [address = '', prefix, ...more] = text.split('/');
  const canonical = parseAddress(address);
  const bytes = canonical === null ? null : parseIpAddress(canonical);
  if (bytes === null || more.length > 0) throw new Error(`${text} is no address or CIDR block`);
  const most = bytes.length * 8;
  const bits = prefix === undefined ? most : Number(prefix);
  if (prefix !== undefined && (!/^[0-9]{1,3}$/.test(prefix) || bits > most)) {
    throw new Error(`${text} is no address or CIDR block`);
  }
  return { bytes, bits };
}

function contains({ bytes, bits }: Block, address: Uint8Array): boolean {
  if (address.length !== bytes.length) return false;
  const whole = bits >>> 3;
  for (let i = 0; i < whole; i++) if (bytes[i] !== address[i]) return false;
  const rest = bits & 7;
  return rest === 0 || ((bytes[whole] as number) ^ (address[whole] as number)) >>> (8 - rest) === 0;
}
