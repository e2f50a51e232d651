/** A participant as far as ICE goes: a session of a real SFU, and the connectivity checks that it accepts. */
import { createHmac, randomBytes } from 'node:crypto';
import type { Sfu } from '../../sfu/index.ts';
import {
  addFingerprint,
  addMessageIntegrity,
  audioSlotMids,
  ControlEndpoint,
  createIceCredentials,
  dataMid,
  decodeSignalEvent,
  NOMINATION,
  publishSections,
  SignalDecodeError,
  stunAttribute,
  StunBuilder,
  stunClass,
  stunMethod,
  videoSlotMids,
  type IceCredentials,
  type Path,
  type SignalEvent,
} from '../../tunnel-protocol/index.ts';

const random = (length: number): Uint8Array => randomBytes(length);
const hmacSha1 = (key: Uint8Array, data: Uint8Array): Uint8Array => createHmac('sha1', key).update(data).digest();

export interface IcePeer {
  /** A Binding request to the SFU's agent; with `nominate`, it selects the path it goes by. */
  check(nominate?: boolean): Uint8Array;
  /** Says what is due on the control channel; for those who stay longer than a few seconds. */
  tick(): void;
}

/** Opens a session, joins its room and offers. */
export async function joinWithIce(sfu: Sfu, sessionId: string): Promise<IcePeer> {
  sfu.openSession({ sessionId, room: 'r', identity: 'i', name: 'n', can: ['publish', 'subscribe'], hidden: false });
  const control = new ControlInMemory(sfu, sessionId);
  await control.request({ type: 'join' });
  const local = createIceCredentials(random);
  const answer = await control.request({ type: 'offer', sdp: offer(local) });
  const attribute = (name: string): string => new RegExp(`a=${name}:(\\S+)`).exec(answer)?.[1] ?? '';
  const remote = { ufrag: attribute('ice-ufrag'), pwd: attribute('ice-pwd') };
  let nomination = 0;
  return {
    check: (nominate = false) => bindingRequest(local, remote, nominate ? ++nomination : 0),
    tick: () => {
      control.tick();
    },
  };
}

function bindingRequest(local: IceCredentials, remote: IceCredentials, nomination: number): Uint8Array {
  const builder = new StunBuilder(stunClass.request, stunMethod.Binding, random(12));
  builder.text(stunAttribute.USERNAME, `${remote.ufrag}:${local.ufrag}`);
  builder.u32(stunAttribute.PRIORITY, 0x6e7f1eff);
  builder.attribute(stunAttribute.ICE_CONTROLLING, new Uint8Array(8));
  if (nomination > 0) builder.flag(stunAttribute.USE_CANDIDATE).u32(NOMINATION, nomination);
  addMessageIntegrity(builder, new TextEncoder().encode(remote.pwd), hmacSha1);
  addFingerprint(builder);
  return builder.take();
}

/** The session's control channel, without a connection in between. */
class ControlInMemory {
  readonly #sfu: Sfu;
  readonly #endpoint = new ControlEndpoint({ role: 'client', now: performance.now() });
  readonly #path: Path;
  #onReply: (reply: Extract<SignalEvent, { type: 'reply' }>) => void = () => undefined;
  #id = 0;

  constructor(sfu: Sfu, sessionId: string) {
    this.#sfu = sfu;
    this.#path = {
      kind: 'websocket',
      reliable: true,
      ordered: true,
      mtu: 1200,
      remote: { address: '127.0.0.1', port: 1 },
      owner: null,
      send: (frame) => {
        this.#receive(frame);
        return true;
      },
      bind: () => undefined,
      unbind: () => undefined,
      close: () => undefined,
    };
    this.#endpoint.connected(performance.now());
    sfu.attach(sessionId, this.#path);
    this.#flush();
  }

  /** The SDP of the reply, if it has one. */
  async request(
    request: { readonly type: 'join' } | { readonly type: 'offer'; readonly sdp: string },
  ): Promise<string> {
    const answered = new Promise<Extract<SignalEvent, { type: 'reply' }>>((resolve) => {
      this.#onReply = resolve;
    });
    this.#endpoint.send(JSON.stringify({ ...request, id: ++this.#id }), performance.now());
    this.#flush();
    const reply = await answered;
    if (!reply.ok) throw new Error(reply.error.message);
    return reply.body.of === 'offer' ? reply.body.sdp : '';
  }

  tick(): void {
    this.#endpoint.handleTimeout(performance.now());
    this.#flush();
  }

  #flush(): void {
    const next = (): Uint8Array | null => this.#endpoint.nextOutput(performance.now());
    for (let frame = next(); frame !== null; frame = next()) this.#sfu.receive(this.#path, frame);
  }

  #receive(frame: Uint8Array): void {
    this.#endpoint.handle(frame, performance.now());
    for (let event = this.#endpoint.nextEvent(); event !== null; event = this.#endpoint.nextEvent()) {
      if (event.type !== 'message') continue;
      const signal = decodeSignalEvent(event.text);
      if (!(signal instanceof SignalDecodeError) && signal.type === 'reply') this.#onReply(signal);
    }
    // Not from within the SFU's own call, as on a real connection.
    queueMicrotask(() => {
      this.#flush();
    });
  }
}

/** The smallest offer of the one shape that an SFU takes. */
function offer({ ufrag, pwd }: IceCredentials): string {
  const sections = [
    ...publishSections.map(({ kind }) => ({ kind, direction: 'sendonly' })),
    ...videoSlotMids.map(() => ({ kind: 'video', direction: 'recvonly' })),
    ...audioSlotMids.map(() => ({ kind: 'audio', direction: 'recvonly' })),
  ];
  const codecs: Record<string, string> = { audio: 'opus/48000/2', video: 'VP8/90000' };
  const media = sections.flatMap(({ kind, direction }, mid) => [
    `m=${kind} 9 UDP/TLS/RTP/SAVPF 96`,
    `a=mid:${String(mid)}`,
    `a=${direction}`,
    'a=rtcp-mux',
    `a=rtpmap:96 ${codecs[kind] ?? ''}`,
  ]);
  const mids = [...sections.keys(), dataMid].join(' ');
  return [
    ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', `a=group:BUNDLE ${mids}`],
    ...[`a=ice-ufrag:${ufrag}`, `a=ice-pwd:${pwd}`, 'a=setup:actpass'],
    `a=fingerprint:sha-256 ${Array.from({ length: 32 }, () => 'AB').join(':')}`,
    ...media,
    ...['m=application 9 UDP/DTLS/SCTP webrtc-datachannel', `a=mid:${dataMid}`, 'a=sctp-port:5000', ''],
  ].join('\r\n');
}
