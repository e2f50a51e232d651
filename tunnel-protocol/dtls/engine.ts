/**
 * A werift `DtlsServer` or `DtlsClient` as a pure handshake engine: whole, ordered messages in, flights out. All that
 * is used of it is named here by shape, because it reaches for fields that werift does not promise; its version is
 * pinned. Taken from it: the messages, the transcript, the key schedule. Kept from it: records, timers, the network.
 *
 * - It never sees a protected record, and makes none: `encryptPacket` is replaced, and the guard seals. werift numbers
 *   its application data from 1 although its Finished already used a number in that epoch, so one nonce comes twice.
 * - Its flights retransmit in a loop of real timers, inside the promise that handles a message. The loop begins after
 *   the last datagram was handed to the transport, so the transport throws a sentinel then, which ends the promise.
 * - Its other wait polls for messages that may still be missing; none is, as they come in order.
 */
import { concatBytes } from '../bytes.ts';
import { handshakeHeaderBytes, messageSequence, messageType, putFragmentHeader } from './handshake-message.ts';
import { protectedEpoch, RecordProtection, type DtlsAead } from './protection.ts';
import type { FlightMessage } from './record-writer.ts';
import { dtlsContentType, putRecordHeader, recordBytesAt, recordEpoch, recordHeaderBytes } from './record.ts';
import type { SrtpKeyMaterial } from '../srtp/index.ts';
import { srtpProfileId } from './hello.ts';

export type DtlsRole = 'client' | 'server';

interface EngineHandshake {
  fragment: Uint8Array;
  serialize(): Uint8Array;
}

interface EngineCipher {
  readonly masterSecret: Uint8Array;
  readonly namedCurve: number;
  readonly localRandom: { serialize(): Uint8Array };
  readonly cipher: {
    readonly clientWriteKey?: Uint8Array;
    readonly serverWriteKey?: Uint8Array;
    readonly clientNonce?: Uint8Array;
    readonly serverNonce?: Uint8Array;
  };
  encryptPacket(packet: never): unknown;
  verifyData(this: { sessionType: number; masterSecret: Uint8Array }, transcript: Uint8Array): Uint8Array;
}

/** The fields and methods of werift's `DtlsSocket` that the engine uses. */
export interface EngineSocket {
  readonly cipher: EngineCipher;
  readonly dtls: {
    readonly flight: number;
    readonly lastMessage: readonly Uint8Array[];
    readonly cookie?: Uint8Array;
    readonly sortedHandshakeCache: readonly { serialize(): Uint8Array }[];
    sequenceNumber: number;
  };
  readonly srtp: { readonly srtpProfile?: number };
  onHandleHandshakes(assembled: EngineHandshake[]): Promise<void>;
  extractSessionKeys(
    keyLength: number,
    saltLength: number,
  ): { localKey: Uint8Array; localSalt: Uint8Array; remoteKey: Uint8Array; remoteSalt: Uint8Array };
}

const sessionType = { client: 1, server: 2 } as const;
const implicitNonceBytes = 4;
const srtpKeyBytes = 16;

/** Thrown into werift when a flight is complete; never leaves this file. */
const flightComplete = new Error('flight complete');

/** What werift takes for its network. It must exist before the socket, so it is made first and handed to both. */
export class EngineTransport {
  readonly type = 'engine';
  readonly address = { address: '', family: '', port: 0 };
  readonly closed = false;
  /** Set by werift. */
  onData: (data: Uint8Array) => void = () => undefined;
  onSend: (data: Uint8Array) => void = () => undefined;

  readonly send = (data: Uint8Array): Promise<void> => {
    this.onSend(data);
    return Promise.resolve();
  };

  readonly close = (): Promise<void> => Promise.resolve();
}

export class HandshakeEngine {
  readonly #socket: EngineSocket;
  readonly #transport: EngineTransport;
  readonly #role: DtlsRole;
  readonly #aead: DtlsAead;
  readonly #asBuffer: (bytes: Uint8Array) => Uint8Array;
  readonly #handleHandshakes: (assembled: EngineHandshake[]) => Promise<void>;
  #assembled: EngineHandshake[] = [];
  #sent: FlightMessage[] = [];
  #sentDatagrams = 0;

  /** `asBuffer` gives the same bytes as a Node `Buffer`, which werift's decoders demand. */
  constructor(
    role: DtlsRole,
    socket: EngineSocket,
    transport: EngineTransport,
    aead: DtlsAead,
    asBuffer: (bytes: Uint8Array) => Uint8Array,
  ) {
    this.#role = role;
    this.#socket = socket;
    this.#transport = transport;
    this.#aead = aead;
    this.#asBuffer = asBuffer;
    const inner = socket.onHandleHandshakes.bind(socket);
    this.#handleHandshakes = inner;
    socket.onHandleHandshakes = (assembled) => {
      this.#assembled = assembled;
      return Promise.resolve();
    };
    socket.cipher.encryptPacket = (packet) => packet;
    Object.assign(socket, {
      waitForReady: (isReady: () => boolean) =>
        isReady() ? Promise.resolve() : Promise.reject(new Error('a message is missing')),
    });
    transport.onSend = (data) => {
      this.#collect(data);
    };
  }

  /** Runs what makes the client's first flight. */
  start(connect: () => Promise<void>): Promise<FlightMessage[]> {
    return this.#run(connect);
  }

  /** Hands over one verified message (header and body); gives the flight that it completes, or nothing. Rejects if werift throws. */
  deliver(message: Uint8Array): Promise<FlightMessage[]> {
    const handshake = this.#decode(message);
    return this.#run(() => this.#handleHandshakes([handshake]));
  }

  /**
   * Server: hands over the ClientHello and gives flight 4 at once. werift insists on HelloVerifyRequest, which costs
   * each join a round trip, and protects against what a path that ICE has validated cannot do (RFC 6347 section
   * 4.2.1 leaves it to the server). So it gets the hello a second time with its cookie in it, while the transcript keeps
   * the one that was sent, and its messages are numbered from 0 as they are without that exchange.
   */
  async deliverClientHello(message: Uint8Array): Promise<FlightMessage[]> {
    await this.deliver(message);
    const { dtls } = this.#socket;
    if (dtls.cookie === undefined) throw new Error('ClientHello was not taken');
    numberFromZero(dtls);
    const again = this.#decode(withCookie(message, dtls.cookie));
    again.serialize = () => this.#asBuffer(message);
    return this.#run(() => this.#handleHandshakes([again]));
  }

  /** All handshake messages so far, as signatures and Finished cover them. */
  transcript(): Uint8Array {
    return concatBytes(this.#socket.dtls.sortedHandshakeCache.map((message) => message.serialize()));
  }

  /** What the peer's Finished has to say after the transcript so far. */
  peerVerifyData(): Uint8Array {
    const { cipher } = this.#socket;
    const peer = this.#role === 'server' ? sessionType.client : sessionType.server;
    const transcript = this.#asBuffer(this.transcript());
    return cipher.verifyData.call({ sessionType: peer, masterSecret: cipher.masterSecret }, transcript);
  }

  /** The group that werift's own key is of. Server: after the ClientHello. */
  get group(): number {
    return this.#socket.cipher.namedCurve;
  }

  get localRandom(): Uint8Array {
    return this.#socket.cipher.localRandom.serialize();
  }

  /** Record keys; there once the key exchange was handed over. */
  protection(): RecordProtection {
    const { clientWriteKey, serverWriteKey, clientNonce, serverNonce } = this.#socket.cipher.cipher;
    if (!clientWriteKey || !serverWriteKey || !clientNonce || !serverNonce) throw new Error('No keys yet');
    const client = { key: clientWriteKey.slice(), implicitNonce: clientNonce.slice(0, implicitNonceBytes) };
    const server = { key: serverWriteKey.slice(), implicitNonce: serverNonce.slice(0, implicitNonceBytes) };
    const isServer = this.#role === 'server';
    return new RecordProtection(this.#aead, isServer ? server : client, isServer ? client : server);
  }

  srtpKeys(): SrtpKeyMaterial {
    const isGcm = this.#socket.srtp.srtpProfile === srtpProfileId.aeadAes128Gcm;
    const keys = this.#socket.extractSessionKeys(srtpKeyBytes, isGcm ? 12 : 14);
    return {
      profile: isGcm ? 'AEAD_AES_128_GCM' : 'AES_CM_128_HMAC_SHA1_80',
      localKey: Uint8Array.from(keys.localKey),
      localSalt: Uint8Array.from(keys.localSalt),
      remoteKey: Uint8Array.from(keys.remoteKey),
      remoteSalt: Uint8Array.from(keys.remoteSalt),
    };
  }

  async #run(handle: () => Promise<void>): Promise<FlightMessage[]> {
    this.#sent = [];
    this.#sentDatagrams = 0;
    try {
      await handle();
    } catch (error) {
      if (error !== flightComplete) throw error;
    }
    return this.#sent;
  }

  /** werift's own object for a message: its decoder runs inside its transport's handler, which hands it to our hook. */
  #decode(message: Uint8Array): EngineHandshake {
    this.#assembled = [];
    const record = new Uint8Array(recordHeaderBytes + message.length);
    putRecordHeader(record, 0, dtlsContentType.handshake, 0, messageSequence(message), message.length);
    record.set(message, recordHeaderBytes);
    this.#transport.onData(this.#asBuffer(record));
    const [handshake] = this.#assembled;
    if (handshake === undefined) throw new Error('The message was not understood');
    return handshake;
  }

  #collect(data: Uint8Array): void {
    this.#sentDatagrams++;
    for (let at = 0; at < data.length;) {
      const bytes = recordBytesAt(data, at);
      if (bytes === 0) throw new Error('The engine made a malformed record');
      const epoch = recordEpoch(data, at) === protectedEpoch ? protectedEpoch : 0;
      this.#sent.push({ type: data[at] as number, epoch, bytes: data.slice(at + recordHeaderBytes, at + bytes) });
      at += bytes;
    }
    if (this.#sentDatagrams === this.#datagramsOfFlight()) throw flightComplete;
  }

  /** How many datagrams werift hands over before it would wait; 0 for the flights it does not repeat. */
  #datagramsOfFlight(): number {
    const { flight, lastMessage } = this.#socket.dtls;
    if (flight === 1 || flight === 3) return 1;
    return flight === 4 || flight === 5 ? lastMessage.length : 0;
  }
}

/** The cookie stands after version, random and session id; it was empty. */
function withCookie(message: Uint8Array, cookie: Uint8Array): Uint8Array {
  const header = handshakeHeaderBytes;
  const sessionIdBytes = message[header + 34] as number;
  const at = header + 35 + sessionIdBytes;
  const body = concatBytes([
    message.subarray(header, at),
    Uint8Array.of(cookie.length),
    cookie,
    message.subarray(at + 1),
  ]);
  const whole = concatBytes([message.subarray(0, header), body]);
  putFragmentHeader(whole, 0, messageType(message), body.length, messageSequence(message), 0, body.length);
  return whole;
}

/** Undoes the one assignment by which flight 4 starts its message numbers at 1. */
function numberFromZero(dtls: { sequenceNumber: number }): void {
  let sequence = 0;
  let begun = false;
  Object.defineProperty(dtls, 'sequenceNumber', {
    get: () => sequence,
    set: (value: number) => {
      sequence = begun ? value : 0;
      begun = true;
    },
  });
}
