/** A TURN client for tests: builds any request, right or wrong, and matches answers to requests. No socket of its own. */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import {
  addMessageIntegrity,
  addXorAddress,
  decodeStun,
  errorCode,
  stunAttribute,
  stunClass,
  StunBuilder,
  stunMethod,
  u16,
  verifyMessageIntegrity,
  xorAddress,
  type StunMessage,
  type TransportAddress,
} from '../../tunnel-protocol/index.ts';

export interface Reply {
  readonly message: StunMessage;
  readonly bytes: Uint8Array;
  /** Null in a success response. */
  readonly code: number | null;
  /** It has a MESSAGE-INTEGRITY that holds. */
  readonly authentic: boolean;
}

export interface Received {
  /** Null for a Data indication. */
  readonly channel: number | null;
  readonly peer: TransportAddress | null;
  readonly data: Buffer;
}

export type Fill = (builder: StunBuilder) => void;

export class TurnTestClient {
  username: string;
  credential: string;
  realm = '';
  nonce = '';
  relayed: TransportAddress | null = null;
  /** Datagrams from peers, in order. */
  readonly received: Received[] = [];
  #keyText = '';
  #key: Uint8Array = new Uint8Array(16);
  readonly #send: (bytes: Uint8Array) => void;
  readonly #waiting = new Map<string, (reply: Reply) => void>();
  readonly #receivers: (() => void)[] = [];

  constructor(send: (bytes: Uint8Array) => void, { username, credential }: { username: string; credential: string }) {
    this.#send = send;
    this.username = username;
    this.credential = credential;
  }

  get key(): Uint8Array {
    const text = `${this.username}:${this.realm}:${this.credential}`;
    if (text !== this.#keyText) this.#key = createHash('md5').update(text).digest();
    this.#keyText = text;
    return this.#key;
  }

  raw(bytes: Uint8Array): void {
    this.#send(bytes);
  }

  /** One whole message from the server. */
  receive(given: Uint8Array): void {
    const bytes = new Uint8Array(given);
    if ((bytes[0] as number) >= 0x40) {
      this.#deliver({ channel: u16(bytes, 0), peer: null, data: Buffer.from(bytes.subarray(4, 4 + u16(bytes, 2))) });
      return;
    }
    const message = decodeStun(bytes);
    if (typeof message === 'string') throw new Error(`the server sent a malformed message: ${message}`);
    if (message.method === stunMethod.Data) {
      const peer = xorAddress(message, stunAttribute.XOR_PEER_ADDRESS);
      this.#deliver({ channel: null, peer, data: Buffer.from(message.value(stunAttribute.DATA) ?? []) });
      return;
    }
    const id = Buffer.from(message.transactionId).toString('hex');
    const code = message.messageClass === stunClass.error ? (errorCode(message)?.code ?? -1) : null;
    const authentic = verifyMessageIntegrity(message, this.key, hmacSha1);
    this.#waiting.get(id)?.({ message, bytes, code, authentic });
    this.#waiting.delete(id);
  }

  /** Sends the request and resolves with its answer. */
  ask(request: Uint8Array): Promise<Reply> {
    return new Promise((resolve) => {
      this.#waiting.set(Buffer.from(request.subarray(8, 20)).toString('hex'), resolve);
      this.#send(request);
    });
  }

  /**
   * The answer, or null when none has come by the time a Binding request sent afterwards was answered: the server
   * works in order, and so does loopback.
   */
  async askPerhaps(request: Uint8Array): Promise<Reply | null> {
    let reply: Reply | null = null;
    void this.ask(request).then((r) => (reply = r));
    await this.ask(this.build(stunMethod.Binding, nothing, { signed: false }));
    return reply;
  }

  build(
    method: number,
    fill: Fill = nothing,
    options: { signed?: boolean; messageClass?: 0 | 1; transactionId?: Uint8Array; key?: Uint8Array } = {},
  ): Uint8Array {
    const builder = new StunBuilder(options.messageClass ?? 0, method, options.transactionId ?? randomBytes(12));
    fill(builder);
    if (options.signed ?? true) {
      builder.text(stunAttribute.USERNAME, this.username);
      builder.text(stunAttribute.REALM, this.realm);
      builder.text(stunAttribute.NONCE, this.nonce);
      addMessageIntegrity(builder, options.key ?? this.key, hmacSha1);
    }
    return builder.take();
  }

  request(method: number, fill: Fill = nothing): Promise<Reply> {
    return this.ask(this.build(method, fill));
  }

  /** Gets realm and nonce from a 401. */
  async challenge(): Promise<Reply> {
    const reply = await this.ask(this.build(stunMethod.Allocate, requestUdp, { signed: false }));
    this.realm = reply.message.text(stunAttribute.REALM) ?? '';
    this.nonce = reply.message.text(stunAttribute.NONCE) ?? '';
    return reply;
  }

  async allocate(fill: Fill = nothing): Promise<Reply> {
    if (this.nonce === '') await this.challenge();
    const reply = await this.request(stunMethod.Allocate, (builder) => {
      requestUdp(builder);
      fill(builder);
    });
    if (reply.code === null) this.relayed = xorAddress(reply.message, stunAttribute.XOR_RELAYED_ADDRESS);
    return reply;
  }

  permit(...peers: readonly TransportAddress[]): Promise<Reply> {
    return this.request(stunMethod.CreatePermission, (builder) => {
      for (const peer of peers) addXorAddress(builder, stunAttribute.XOR_PEER_ADDRESS, peer);
    });
  }

  bindChannel(channel: number, peer: TransportAddress): Promise<Reply> {
    return this.request(stunMethod.ChannelBind, (builder) => {
      builder.u32(stunAttribute.CHANNEL_NUMBER, channel * 65_536);
      addXorAddress(builder, stunAttribute.XOR_PEER_ADDRESS, peer);
    });
  }

  refresh(lifetime?: number): Promise<Reply> {
    return this.request(stunMethod.Refresh, (builder) => {
      if (lifetime !== undefined) builder.u32(stunAttribute.LIFETIME, lifetime);
    });
  }

  /** A Send indication. */
  sendTo(peer: TransportAddress, data: Uint8Array, fill: Fill = nothing): void {
    const indication = this.build(
      stunMethod.Send,
      (builder) => {
        addXorAddress(builder, stunAttribute.XOR_PEER_ADDRESS, peer);
        builder.attribute(stunAttribute.DATA, data);
        fill(builder);
      },
      { signed: false, messageClass: 1 },
    );
    this.#send(indication);
  }

  /** ChannelData with padding, which UDP allows as well. */
  sendChannel(channel: number, data: Uint8Array): void {
    this.#send(channelData(channel, data));
  }

  /** Resolves once `count` datagrams of peers have arrived. */
  async arrived(count: number): Promise<readonly Received[]> {
    while (this.received.length < count) await new Promise<void>((resolve) => this.#receivers.push(resolve));
    return this.received;
  }

  #deliver(received: Received): void {
    this.received.push(received);
    for (const resolve of this.#receivers.splice(0)) resolve();
  }
}

export function requestUdp(builder: StunBuilder): void {
  builder.u32(stunAttribute.REQUESTED_TRANSPORT, 17 << 24);
}

export function channelData(channel: number, data: Uint8Array): Uint8Array {
  const message = Buffer.alloc(4 + ((data.length + 3) & ~3));
  message.writeUInt16BE(channel, 0);
  message.writeUInt16BE(data.length, 2);
  message.set(data, 4);
  return message;
}

/** A datagram of a class that may pass (RTP's first byte). */
export function packet(text: string): Buffer {
  return Buffer.concat([Buffer.of(0x80), Buffer.from(text)]);
}

export function hmacSha1(key: Uint8Array, data: Uint8Array): Uint8Array {
  return createHmac('sha1', key).update(data).digest();
}

function nothing(): void {
  // No attributes.
}
