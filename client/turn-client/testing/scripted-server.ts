/** The other end of a TurnClient in tests: answers requests as RFC 8656 says, or as it is told to, on a virtual clock. */
import { createHash, createHmac } from 'node:crypto';
import {
  addErrorCode,
  addMessageIntegrity,
  addXorAddress,
  decodeStun,
  stunAttribute,
  StunBuilder,
  stunClass,
  stunMethod,
  verifyMessageIntegrity,
  xorAddress,
} from '../../../tunnel-protocol/index.ts';
import { TurnClient } from '../turn-client.ts';
import type { StunMessage, TransportAddress } from '../../../tunnel-protocol/index.ts';
import type { TurnClientEvent, TurnClientOptions } from '../types.ts';

export const hmacSha1 = (key: Uint8Array, data: Uint8Array): Uint8Array =>
  createHmac('sha1', key).update(data).digest();
export const md5 = (data: Uint8Array): Uint8Array => createHash('md5').update(data).digest();

export const peer: TransportAddress = { address: '192.0.2.1', port: 443 };
export const otherPeer: TransportAddress = { address: '192.0.2.2', port: 443 };
export const relayed: TransportAddress = { address: '198.51.100.1', port: 50_000 };
export const mapped: TransportAddress = { address: '203.0.113.9', port: 40_000 };
export const username = '1999999999:session';
export const credential = 'secret';
export const realm = 'realm';
/** RFC 8489 section 9.2.2. */
export const key = md5(new TextEncoder().encode(`${username}:${realm}:${credential}`));

export function createClient(options: Partial<TurnClientOptions> = {}, seed = 1): TurnClient {
  let count = seed;
  const random = (length: number): Uint8Array => {
    count++;
    return Uint8Array.from({ length }, (_, i) => (count >>> (8 * (i % 4))) & 0xff);
  };
  return new TurnClient({
    username,
    credential,
    reliable: false,
    peers: [peer],
    random,
    hmacSha1,
    md5,
    ...options,
  });
}

export function outputs(client: TurnClient): Uint8Array[] {
  const list: Uint8Array[] = [];
  for (let out = client.nextOutput(); out !== null; out = client.nextOutput()) list.push(out);
  return list;
}

export function events(client: TurnClient): TurnClientEvent[] {
  const list: TurnClientEvent[] = [];
  for (let event = client.nextEvent(); event !== null; event = client.nextEvent()) list.push(event);
  return list;
}

export function decoded(bytes: Uint8Array | undefined): StunMessage {
  const message = decodeStun(bytes ?? new Uint8Array(0));
  if (typeof message === 'string') throw new Error(message);
  return message;
}

export interface Answer {
  /** Null: a success. */
  readonly code?: number | null;
  readonly fill?: (builder: StunBuilder) => void;
  /** Signs with this key; with the right one if absent; null leaves the answer unsigned. */
  readonly key?: Uint8Array | null;
}

export function answerTo(request: Uint8Array | undefined, answer: Answer = {}): Uint8Array {
  const { method, transactionId } = decoded(request);
  const code = answer.code ?? null;
  const builder = new StunBuilder(code === null ? stunClass.success : stunClass.error, method, transactionId);
  if (code !== null) addErrorCode(builder, { code, reason: '' });
  answer.fill?.(builder);
  if (answer.key !== null) addMessageIntegrity(builder, answer.key ?? key, hmacSha1);
  return builder.take();
}

export function challenge(nonce: string): (builder: StunBuilder) => void {
  return (builder) => {
    builder.text(stunAttribute.REALM, realm);
    builder.text(stunAttribute.NONCE, nonce);
  };
}

export function grant(lifetimeSeconds = 600): (builder: StunBuilder) => void {
  return (builder) => {
    addXorAddress(builder, stunAttribute.XOR_RELAYED_ADDRESS, relayed);
    addXorAddress(builder, stunAttribute.XOR_MAPPED_ADDRESS, mapped);
    builder.u32(stunAttribute.LIFETIME, lifetimeSeconds);
  };
}

/** A client that has its allocation; its first ChannelBind is under way. Returns that request too. */
export function allocatedClient(options: Partial<TurnClientOptions> = {}, lifetimeSeconds = 600) {
  const client = createClient(options);
  client.start(0);
  const [first] = outputs(client);
  client.receive(answerTo(first, { code: 401, fill: challenge('n1'), key: null }), 10);
  const [second] = outputs(client);
  client.receive(answerTo(second, { fill: grant(lifetimeSeconds) }), 20);
  const [bind] = outputs(client);
  events(client);
  return { client, bind };
}

/** A whole server of one client: challenges, renews its nonce, allocates, binds, permits, and echoes what is sent to the peer. */
export class ScriptedServer {
  nonce = 'nonce 1';
  allocated = false;
  released = false;
  channel = 0;
  permitted = false;
  /** What came for the peer. */
  readonly relayedDatagrams: Uint8Array[] = [];

  /** The answers to one message of the client. */
  handle(bytes: Uint8Array): readonly Uint8Array[] {
    if ((bytes[0] as number) >= 0x40) {
      if (this.channel === 0) return [];
      const length = ((bytes[2] as number) << 8) | (bytes[3] as number);
      this.relayedDatagrams.push(bytes.slice(4, 4 + length));
      return [bytes];
    }
    const message = decoded(bytes);
    if (message.method === stunMethod.Send) return this.#relay(message);
    if (!verifyMessageIntegrity(message, key, hmacSha1)) {
      return [answerTo(bytes, { code: 401, fill: challenge(this.nonce), key: null })];
    }
    if (message.text(stunAttribute.NONCE) !== this.nonce) {
      return [answerTo(bytes, { code: 438, fill: challenge(this.nonce), key: null })];
    }
    switch (message.method) {
      case stunMethod.Allocate:
        this.allocated = true;
        return [answerTo(bytes, { fill: grant() })];
      case stunMethod.Refresh:
        this.released = message.u32(stunAttribute.LIFETIME) === 0;
        return [answerTo(bytes, { fill: (builder) => builder.u32(stunAttribute.LIFETIME, 600) })];
      case stunMethod.ChannelBind:
        this.channel = (message.u32(stunAttribute.CHANNEL_NUMBER) ?? 0) >>> 16;
        this.permitted = true;
        return [answerTo(bytes)];
      default:
        return [answerTo(bytes, { code: 400 })];
    }
  }

  #relay(message: StunMessage): readonly Uint8Array[] {
    const data = message.value(stunAttribute.DATA);
    const to = xorAddress(message, stunAttribute.XOR_PEER_ADDRESS);
    if (!this.permitted || data === null || to === null) return [];
    this.relayedDatagrams.push(data.slice());
    return [dataIndication(to, data)];
  }
}

export function dataIndication(from: TransportAddress, data: Uint8Array): Uint8Array {
  const builder = new StunBuilder(stunClass.indication, stunMethod.Data, new Uint8Array(12));
  addXorAddress(builder, stunAttribute.XOR_PEER_ADDRESS, from);
  builder.attribute(stunAttribute.DATA, data);
  return builder.take();
}
