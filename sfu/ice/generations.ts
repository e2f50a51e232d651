/** Local ufrags on the shared port: which agent, and which of its ICE generations, a check is meant for. */
import { createIceCredentials } from '../../tunnel-protocol/index.ts';
import type { IceCredentials } from '../../tunnel-protocol/index.ts';

/** One pair of local and remote credentials of an agent; a restart begins another. */
export interface Generation<Agent> {
  readonly agent: Agent;
  readonly local: IceCredentials;
  /** The local password as an HMAC key. */
  readonly key: Uint8Array;
  /** The peer's ufrag; null until it is known. */
  remoteUfrag: string | null;
  /** Highest NOMINATION seen, or -1. */
  highestNomination: number;
}

/** Longest ufrag that RFC 8839 section 5.4 allows; nothing longer can be anyone's. */
const maxUfragBytes = 256;
const colon = 0x3a;
const utf8 = new TextEncoder();

export class Generations<Agent> {
  readonly #random: (length: number) => Uint8Array;
  readonly #prefix: string;
  readonly #byUfrag = new Map<string, Generation<Agent>>();

  constructor(random: (length: number) => Uint8Array, prefix = '') {
    this.#random = random;
    this.#prefix = prefix;
  }

  create(agent: Agent): Generation<Agent> {
    let local = createIceCredentials(this.#random, this.#prefix);
    while (this.#byUfrag.has(local.ufrag)) local = createIceCredentials(this.#random, this.#prefix);
    const key = utf8.encode(local.pwd);
    const generation = { agent, local, key, remoteUfrag: null, highestNomination: -1 };
    this.#byUfrag.set(local.ufrag, generation);
    return generation;
  }

  drop(generation: Generation<Agent>): void {
    this.#byUfrag.delete(generation.local.ufrag);
  }

  /** By the part of a request's USERNAME before the colon (RFC 8445 section 7.2.2). */
  find(username: Uint8Array): Generation<Agent> | null {
    const end = username.indexOf(colon);
    if (end < 0 || end > maxUfragBytes) return null;
    return this.#byUfrag.get(latin1(username, 0, end)) ?? null;
  }
}

/** Whether the part of USERNAME behind the colon is the peer's ufrag, as far as that is known. */
export function namesRemote(username: Uint8Array, generation: Generation<unknown>): boolean {
  const { remoteUfrag } = generation;
  if (remoteUfrag === null) return true;
  const start = username.indexOf(colon) + 1;
  return username.length - start === remoteUfrag.length && latin1(username, start, username.length) === remoteUfrag;
}

/** Ufrags are ASCII. Other bytes become characters that no ufrag has. */
function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i] as number);
  return text;
}
