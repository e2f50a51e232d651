/** A TURN client for load: allocates, binds one channel, and sends ChannelData as cheaply as it can. */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
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
  type StunMessage,
  type TransportAddress,
} from '../../tunnel-protocol/index.ts';

export const loadTransports = ['udp', 'tcp', 'tls'] as const;
export type LoadTransport = (typeof loadTransports)[number];

export interface LoadCredentials {
  readonly username: string;
  readonly credential: string;
}

export interface LoadTarget {
  readonly transport: LoadTransport;
  readonly host: string;
  readonly port: number;
  readonly credentials: LoadCredentials;
  readonly peer: TransportAddress;
}

const channel = 0x4000;
const answerTimeoutMs = 5000;
const allocationMismatch = 437;
const maxAttempts = 5;

class RefusedError extends Error {
  readonly code: number;

  constructor(method: number, code: number) {
    super(`refused: method ${String(method)}, ${String(code)}`);
    this.code = code;
  }
}

/** What comes back is counted by everybody in one place. */
export class LoadCounter {
  datagrams = 0;
  bytes = 0;
}

export class LoadClient {
  readonly #target: LoadTarget;
  readonly #counter: LoadCounter;
  #udp: UdpSocket | null = null;
  #stream: Socket | null = null;
  #realm = '';
  #nonce = '';
  #answer: ((message: StunMessage) => void) | null = null;

  private constructor(target: LoadTarget, counter: LoadCounter) {
    this.#target = target;
    this.#counter = counter;
  }

  /** Rejects when the server refuses anything, or does not answer. */
  static async open(target: LoadTarget, counter: LoadCounter): Promise<LoadClient> {
    for (let attempt = 1; ; attempt++) {
      const client = new LoadClient(target, counter);
      try {
        await client.#connect();
        await client.#allocate();
        return client;
      } catch (error) {
        client.close();
        // The system gave a port whose last allocation has not ended: another one will do (RFC 8656 section 7.4).
        const mayRetry = error instanceof RefusedError && error.code === allocationMismatch && attempt < maxAttempts;
        if (!mayRetry) throw error;
      }
    }
  }

  /** ChannelData for `count` datagrams; on UDP each is sent alone. */
  static message(transport: LoadTransport, datagram: Uint8Array, count: number): Uint8Array {
    const size = frameBytes(transport, datagram.length);
    const message = new Uint8Array(size * (transport === 'udp' ? 1 : count));
    for (let at = 0; at < message.length; at += size) {
      putU16(message, at, channel);
      putU16(message, at + 2, datagram.length);
      message.set(datagram, at + 4);
    }
    return message;
  }

  /** Sends what {@link LoadClient.message} made. */
  send(message: Uint8Array, count: number): void {
    const { host, port } = this.#target;
    if (this.#udp === null) this.#stream?.write(message);
    else for (let i = 0; i < count; i++) this.#udp.send(message, port, host);
  }

  /** Ends the allocation too: with its connection, or by a Refresh that nobody waits for. */
  close(): void {
    this.#stream?.destroy();
    const udp = this.#udp;
    if (udp === null) return;
    this.#udp = null;
    const { host, port } = this.#target;
    udp.send(
      this.#request(stunMethod.Refresh, (builder) => builder.u32(stunAttribute.LIFETIME, 0)),
      port,
      host,
      () => {
        udp.close();
      },
    );
  }

  async #connect(): Promise<void> {
    const { transport, host, port } = this.#target;
    if (transport === 'udp') {
      const udp = createSocket({
        type: 'udp4',
        recvBufferSize: 1_048_576,
        lookup: (name, _options, callback) => {
          callback(null, name, 4);
        },
      });
      this.#udp = udp;
      udp.on('message', (datagram) => {
        this.#receive(datagram);
      });
      const bound = once(udp, 'listening');
      udp.bind(0, host);
      await bound;
      return;
    }
    const stream = transport === 'tcp' ? connectTcp(port, host) : connectTls({ port, host, rejectUnauthorized: false });
    this.#stream = stream;
    await once(stream, transport === 'tcp' ? 'connect' : 'secureConnect');
    stream.setNoDelay(true);
    stream.on('error', () => stream.destroy());
    stream.on('data', (chunk: Buffer) => {
      this.#receive(chunk);
    });
  }

  async #allocate(): Promise<void> {
    const udp = (builder: StunBuilder): void => {
      builder.u32(stunAttribute.REQUESTED_TRANSPORT, 17 << 24);
    };
    const challenge = await this.#ask(this.#request(stunMethod.Allocate, udp));
    this.#realm = challenge.text(stunAttribute.REALM) ?? '';
    this.#nonce = challenge.text(stunAttribute.NONCE) ?? '';
    const answers = [
      await this.#ask(this.#request(stunMethod.Allocate, udp)),
      await this.#ask(
        this.#request(stunMethod.ChannelBind, (builder) => {
          builder.u32(stunAttribute.CHANNEL_NUMBER, channel * 65_536);
          addXorAddress(builder, stunAttribute.XOR_PEER_ADDRESS, this.#target.peer);
        }),
      ),
    ];
    for (const answer of answers) {
      if (answer.messageClass === stunClass.success) continue;
      throw new RefusedError(answer.method, errorCode(answer)?.code ?? 0);
    }
  }

  #request(method: number, fill: (builder: StunBuilder) => void): Uint8Array {
    const builder = new StunBuilder(stunClass.request, method, randomBytes(12));
    fill(builder);
    if (this.#nonce !== '') {
      const { username, credential } = this.#target.credentials;
      builder.text(stunAttribute.USERNAME, username);
      builder.text(stunAttribute.REALM, this.#realm);
      builder.text(stunAttribute.NONCE, this.#nonce);
      const key = createHash('md5').update(`${username}:${this.#realm}:${credential}`).digest();
      addMessageIntegrity(builder, key, (secret, data) => createHmac('sha1', secret).update(data).digest());
    }
    return builder.take();
  }

  async #ask(request: Uint8Array): Promise<StunMessage> {
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<StunMessage>((resolve, reject) => {
        this.#answer = resolve;
        timer = setTimeout(() => {
          reject(new Error(`no answer by ${this.#target.transport}`));
        }, answerTimeoutMs);
        this.send(request, 1);
      });
    } finally {
      clearTimeout(timer);
      this.#answer = null;
    }
  }

  /** Answers come alone, and before any ChannelData: whole, because they are small. */
  #receive(bytes: Buffer): void {
    if (this.#answer === null) {
      this.#counter.bytes += bytes.length;
      this.#counter.datagrams++;
      return;
    }
    const message = decodeStun(bytes.subarray(0, 20 + u16(bytes, 2)));
    if (typeof message !== 'string') this.#answer(message);
  }
}

/** Bytes of one ChannelData message: on streams it is padded (RFC 8656 section 12.5). */
export function frameBytes(transport: LoadTransport, datagramBytes: number): number {
  return transport === 'udp' ? 4 + datagramBytes : (4 + datagramBytes + 3) & ~3;
}
