/** As much of a TURN client as it takes to get an allocation over a connection (RFC 8656 section 7). */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import {
  addMessageIntegrity,
  decodeStun,
  stunAttribute,
  StunBuilder,
  stunClass,
  stunMethod,
  u16,
  type StunMessage,
} from '../../tunnel-protocol/index.ts';

const stunHeaderBytes = 20;
const overUdp = 17 << 24;

export interface Credentials {
  readonly username: string;
  readonly credential: string;
}

export class TurnStreamClient {
  readonly socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #answered: (message: StunMessage | null) => void = () => undefined;

  /** Reads the socket from now on. */
  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      if (this.#bytes.length < stunHeaderBytes) return;
      const length = stunHeaderBytes + u16(this.#bytes, 2);
      if (this.#bytes.length < length) return;
      const message = decodeStun(this.#bytes.subarray(0, length));
      this.#bytes = this.#bytes.subarray(length);
      this.#answered(typeof message === 'string' ? null : message);
    });
    socket.once('close', () => {
      this.#answered(null);
    });
  }

  /** One request at a time. Null when the connection ended, or what came is no STUN message. */
  ask(request: Uint8Array): Promise<StunMessage | null> {
    return new Promise((resolve) => {
      this.#answered = resolve;
      this.socket.write(request);
    });
  }

  /** True when the server asked for credentials, took these, and gave an allocation. */
  async allocate({ username, credential }: Credentials): Promise<boolean> {
    const challenge = await this.ask(allocateRequest().take());
    if (challenge?.messageClass !== stunClass.error) return false;
    const realm = challenge.value(stunAttribute.REALM);
    const nonce = challenge.value(stunAttribute.NONCE);
    if (realm === null || nonce === null) return false;
    const request = allocateRequest().text(stunAttribute.USERNAME, username);
    request.attribute(stunAttribute.REALM, realm).attribute(stunAttribute.NONCE, nonce);
    const text = `${username}:${Buffer.from(realm).toString()}:${credential}`;
    addMessageIntegrity(request, createHash('md5').update(text).digest(), hmacSha1);
    const answer = await this.ask(request.take());
    return answer?.messageClass === stunClass.success && answer.method === stunMethod.Allocate;
  }
}

/** What is answered without credentials. */
export function bindingRequest(): Uint8Array {
  return new StunBuilder(stunClass.request, stunMethod.Binding, randomBytes(12)).take();
}

function allocateRequest(): StunBuilder {
  const builder = new StunBuilder(stunClass.request, stunMethod.Allocate, randomBytes(12));
  return builder.u32(stunAttribute.REQUESTED_TRANSPORT, overUdp);
}

function hmacSha1(key: Uint8Array, data: Uint8Array): Uint8Array {
  return createHmac('sha1', key).update(data).digest();
}
