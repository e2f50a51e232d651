/** A TURN client for tests of the gateway: allocates, binds channels, exchanges ChannelData. No socket of its own. */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import {
  addMessageIntegrity,
  addXorAddress,
  decodeStun,
  errorCode,
  putU16,
  stunAttribute,
  stunClass,
  StunBuilder,
  stunMethod,
  u16,
  xorAddress,
  type StunMessage,
  type TransportAddress,
} from '../../tunnel-protocol/index.ts';

const udpProtocol = 17;

export class TurnClient {
  relayed: TransportAddress | null = null;
  /** Payloads of ChannelData, in order. */
  readonly received: Buffer[] = [];
  readonly #send: (bytes: Uint8Array) => void;
  readonly #username: string;
  readonly #credential: string;
  readonly #answers = new Map<string, (message: StunMessage) => void>();
  #waiting: (() => void)[] = [];
  #held = Buffer.alloc(0);
  #realm = '';
  #nonce = '';

  constructor(send: (bytes: Uint8Array) => void, { username, credential }: { username: string; credential: string }) {
    this.#send = send;
    this.#username = username;
    this.#credential = credential;
  }

  /** One datagram of the server, or a piece of its stream. */
  receive(bytes: Uint8Array): void {
    this.#held = Buffer.concat([this.#held, bytes]);
    while (this.#held.length >= 4) {
      const isData = (this.#held[0] as number) >= 0x40;
      const length = u16(this.#held, 2);
      const whole = isData ? 4 + length : 20 + length;
      if (this.#held.length < whole) return;
      const message = this.#held.subarray(0, whole);
      // Streams pad ChannelData; on UDP there is nothing behind it.
      this.#held = this.#held.subarray(Math.min(this.#held.length, isData ? (whole + 3) & ~3 : whole));
      if (isData) this.received.push(Buffer.from(message.subarray(4)));
      else this.#answered(Buffer.from(message));
    }
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** The error's code, or null. */
  async allocate(): Promise<number | null> {
    const asksUdp = (builder: StunBuilder): void => {
      builder.u32(stunAttribute.REQUESTED_TRANSPORT, udpProtocol << 24);
    };
    const challenge = await this.#ask(stunMethod.Allocate, asksUdp);
    this.#realm = challenge.text(stunAttribute.REALM) ?? '';
    this.#nonce = challenge.text(stunAttribute.NONCE) ?? '';
    const answer = await this.#ask(stunMethod.Allocate, asksUdp);
    this.relayed = xorAddress(answer, stunAttribute.XOR_RELAYED_ADDRESS);
    return codeOf(answer);
  }

  /** The error's code, or null. */
  async bind(channel: number, peer: TransportAddress): Promise<number | null> {
    const answer = await this.#ask(stunMethod.ChannelBind, (builder) => {
      builder.u32(stunAttribute.CHANNEL_NUMBER, channel * 65_536);
      addXorAddress(builder, stunAttribute.XOR_PEER_ADDRESS, peer);
    });
    return codeOf(answer);
  }

  send(channel: number, data: Uint8Array): void {
    this.#send(channelData(channel, data));
  }

  /** Resolves with what was received once there are so many. */
  async arrived(count: number): Promise<readonly Buffer[]> {
    while (this.received.length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.received;
  }

  #ask(method: number, fill: (builder: StunBuilder) => void): Promise<StunMessage> {
    const builder = new StunBuilder(stunClass.request, method, randomBytes(12));
    fill(builder);
    if (this.#nonce !== '') {
      builder.text(stunAttribute.USERNAME, this.#username);
      builder.text(stunAttribute.REALM, this.#realm);
      builder.text(stunAttribute.NONCE, this.#nonce);
      const key = createHash('md5').update(`${this.#username}:${this.#realm}:${this.#credential}`).digest();
      addMessageIntegrity(builder, key, (secret, data) => createHmac('sha1', secret).update(data).digest());
    }
    const request = builder.take();
    return new Promise((resolve) => {
      this.#answers.set(Buffer.from(request.subarray(8, 20)).toString('hex'), resolve);
      this.#send(request);
    });
  }

  #answered(bytes: Buffer): void {
    const message = decodeStun(bytes);
    if (typeof message === 'string') throw new Error(`the server sent a malformed message: ${message}`);
    this.#answers.get(Buffer.from(message.transactionId).toString('hex'))?.(message);
  }
}

/** With padding, which UDP allows as well. */
export function channelData(channel: number, data: Uint8Array): Uint8Array {
  const message = new Uint8Array(4 + ((data.length + 3) & ~3));
  putU16(message, 0, channel);
  putU16(message, 2, data.length);
  message.set(data, 4);
  return message;
}

function codeOf(answer: StunMessage): number | null {
  return answer.messageClass === stunClass.success ? null : (errorCode(answer)?.code ?? -1);
}
