/** The native peer connection in the one fixed shape (sdp-shape.ts): made once, negotiated once, restarted when it must. */
import { audioSlotMids, dataMid, publishSections, videoSlotMids } from '../../tunnel-protocol/index.ts';
import type { LayerWatch, MediaKind, Source } from '../../tunnel-protocol/index.ts';
import { Emitter } from '../emitter.ts';
import { ClientError } from '../errors.ts';
import { IceAttempts } from '../page-model/ice-attempts.ts';
import { keepCandidates, rungOfUrl } from '../page-model/ice-plan.ts';
import type { IcePlan } from '../page-model/ice-plan.ts';

/** `interrupted` may heal by itself, `failed` needs an ICE restart, `closed` is for good. */
export type MediaState = 'connecting' | 'connected' | 'interrupted' | 'failed' | 'closed';

const configuration: RTCConfiguration = { bundlePolicy: 'max-bundle' };

/** Height that the small picture is scaled to, in pixels: what a thumbnail shows. */
const smallHeight = 180;

/**
 * Low before high: Chromium then encodes both in one libvpx encoder, and pauses the high one when bandwidth is short,
 * where in the other order it goes on with an unusable share. The answer may list them in any order.
 */
const cameraEncodings: RTCRtpEncodingParameters[] = [
  { rid: 'l', maxBitrate: 150_000, scaleResolutionDownBy: 4 },
  { rid: 'h', maxBitrate: 1_000_000 },
];
const screenEncodings: RTCRtpEncodingParameters[] = [{ maxBitrate: 1_500_000, maxFramerate: 15 }];

interface MediaConnectionEvents {
  state: MediaState;
  /** ICE has selected a pair, or another one. */
  pair: null;
}

export class MediaConnection extends Emitter<MediaConnectionEvents> {
  readonly peer: RTCPeerConnection;
  readonly attempts = new IceAttempts();
  readonly #senders = new Map<Source, RTCRtpSender>();
  /** Changes of encodings follow each other: each begins with what the one before has set. */
  #tuning: Promise<void> = Promise.resolve();
  readonly #receivers = new Map<string, RTCRtpReceiver>();
  #state: MediaState = 'connecting';
  #negotiating: Promise<void> = Promise.resolve();
  #plan: IcePlan = { iceServers: [], iceTransportPolicy: 'all', transports: [], rungs: [] };

  /** Takes some 35 ms of work, so it is better made while something else is waited for. */
  constructor() {
    super();
    this.peer = new RTCPeerConnection(configuration);
    for (const { source, kind } of publishSections) {
      const transceiver = this.peer.addTransceiver(kind, {
        direction: 'sendonly',
        ...(source === 'camera' ? { sendEncodings: cameraEncodings } : {}),
        ...(source === 'screen' ? { sendEncodings: screenEncodings } : {}),
      });
      preferCodecs(transceiver, kind, kind === 'audio' ? ['audio/opus'] : ['video/VP8']);
      this.#senders.set(source, transceiver.sender);
    }
    for (const mid of videoSlotMids) this.#addReceiver('video', mid);
    for (const mid of audioSlotMids) this.#addReceiver('audio', mid);
    // The shape ends with a data section; browsers write it for whoever has made a channel.
    this.peer.createDataChannel('sallyport');
    this.peer.onconnectionstatechange = this.peer.oniceconnectionstatechange = () => {
      this.#update();
    };
    this.#watchRelays();
  }

  /** Before the first negotiation. ICE restarts follow the same plan. */
  usePlan(plan: IcePlan): void {
    this.#plan = plan;
    const { iceServers, iceTransportPolicy } = plan;
    this.peer.setConfiguration({ ...configuration, iceServers: iceServers.map(asRtcIceServer), iceTransportPolicy });
  }

  get state(): MediaState {
    return this.#state;
  }

  /** SHA-256 of this connection's certificate, as its offer has it; empty before the offer. */
  get fingerprint(): string {
    return /^a=fingerprint:sha-256 (\S+)/m.exec(this.peer.localDescription?.sdp ?? '')?.[1] ?? '';
  }

  receiver(mid: string): RTCRtpReceiver | undefined {
    return this.#receivers.get(mid);
  }

  /**
   * One exchange of offer and answer; `exchange` brings the answer. Exchanges follow each other, never overlap. When
   * one fails the connection stays as it was before.
   */
  negotiate(iceRestart: boolean, exchange: (offer: string) => Promise<string>): Promise<void> {
    const run = async (): Promise<void> => {
      this.attempts.begin(this.#plan.rungs, performance.now());
      await this.peer.setLocalDescription(await this.peer.createOffer({ iceRestart }));
      this.#checkShape();
      // Candidates need not be waited for: the server is ICE-lite and answers whoever proves to know the password.
      try {
        const answer = await exchange(this.peer.localDescription?.sdp ?? '');
        await this.peer.setRemoteDescription({ type: 'answer', sdp: this.#followPlan(answer) });
        this.#watchPair();
      } catch (error) {
        if (this.peer.signalingState === 'have-local-offer') await this.peer.setLocalDescription({ type: 'rollback' });
        throw error;
      }
    };
    this.#negotiating = this.#negotiating.then(run, run);
    return this.#negotiating;
  }

  /** Sends this track on the source's fixed section; null sends nothing. Nothing is renegotiated. */
  async send(source: Source, track: MediaStreamTrack | null): Promise<void> {
    const sender = this.#senders.get(source);
    if (sender === undefined || this.#state === 'closed') return;
    await sender.replaceTrack(track);
    if (source === 'camera' && track !== null) await this.#tune(() => fitSmallPicture(sender, track));
  }

  /** Encodes those layers that are watched, and no others. */
  watch(layers: readonly LayerWatch[]): Promise<void> {
    return this.#tune(async () => {
      for (const [source, sender] of this.#senders) {
        const own = layers.filter((layer) => layer.source === source);
        if (own.length > 0 && this.#state !== 'closed') await encodeWatched(sender, own);
      }
    });
  }

  #tune(change: () => Promise<void>): Promise<void> {
    // A browser that refuses goes on as before.
    this.#tuning = this.#tuning.then(change).catch(() => undefined);
    return this.#tuning;
  }

  close(): void {
    this.peer.close();
    // A closed peer connection reports nothing by itself.
    this.#update();
  }

  /** Rejects an answer that has no candidate for what the plan allows: there is nothing to wait for. */
  #followPlan(answer: string): string {
    const { sdp, transports } = keepCandidates(answer, this.#plan.transports);
    const now = performance.now();
    if (!transports.includes('tcp')) this.attempts.notOffered('ice-tcp', now);
    if (!transports.includes('udp')) this.attempts.notOffered('udp', now);
    if (transports.length > 0) return sdp;
    throw new ClientError('rung-unavailable', { detail: `the server offers no ${this.#plan.rungs.join(', ')}` });
  }

  #watchRelays(): void {
    this.peer.onicecandidate = ({ candidate }) => {
      // Newer than TypeScript's types; browsers without it leave the attempt open until its pairs tell.
      const { url } = (candidate ?? {}) as { url?: string | null };
      const rung = candidate?.type === 'relay' && typeof url === 'string' ? rungOfUrl(url) : null;
      if (rung !== null) this.attempts.relayAnswered(rung);
    };
    this.peer.onicecandidateerror = ({ url, errorCode, errorText }) => {
      const rung = rungOfUrl(url);
      if (rung !== null) this.attempts.relayFailed(rung, `${errorText} (${String(errorCode)})`, performance.now());
    };
  }

  /** With everything in one bundle there is one transport for all. */
  #watchPair(): void {
    const transport = this.peer.getTransceivers()[0]?.sender.transport?.iceTransport;
    if (transport === undefined) return;
    transport.onselectedcandidatepairchange = () => {
      this.emit('pair', null);
    };
  }

  #addReceiver(kind: MediaKind, mid: string): void {
    const transceiver = this.peer.addTransceiver(kind, { direction: 'recvonly' });
    preferCodecs(transceiver, kind, kind === 'audio' ? ['audio/opus'] : ['video/VP8', 'video/H264', 'video/VP9']);
    this.#receivers.set(mid, transceiver.receiver);
  }

  /** Mids are given in the order of the sections, as far as browsers do what RFC 8829 section 5.2.1 suggests. */
  #checkShape(): void {
    const mids = this.peer.getTransceivers().map((transceiver) => transceiver.mid);
    const expected = [...publishSections.map((section) => section.mid), ...videoSlotMids, ...audioSlotMids];
    if (mids.length === expected.length && mids.every((mid, index) => mid === expected[index])) return;
    throw new ClientError('version-unsupported', {
      detail: `this browser names media sections ${mids.join(' ')}, expected ${expected.join(' ')} ${dataMid}`,
    });
  }

  #update(): void {
    const { connectionState, iceConnectionState } = this.peer;
    const state = stateOf(connectionState, iceConnectionState, this.#state);
    if (state === this.#state) return;
    this.#state = state;
    this.emit('state', state);
  }
}

function asRtcIceServer({ urls, ...credentials }: IcePlan['iceServers'][number]): RTCIceServer {
  return { urls: typeof urls === 'string' ? urls : [...urls], ...credentials };
}

function stateOf(connection: RTCPeerConnectionState, ice: RTCIceConnectionState, before: MediaState): MediaState {
  if (connection === 'closed') return 'closed';
  if (connection === 'failed' || ice === 'failed') return 'failed';
  if (connection === 'connected') return 'connected';
  // An ICE restart goes through `connecting` again; for whoever watches, the interruption lasts until it has worked.
  if (before === 'connecting') return 'connecting';
  return before === 'failed' ? 'failed' : 'interrupted';
}

/** Fewer codecs make an offer of 10 KB instead of 44 KB. Browsers without the method offer all they have. */
function preferCodecs(transceiver: RTCRtpTransceiver, kind: MediaKind, mimeTypes: readonly string[]): void {
  if (!('setCodecPreferences' in transceiver)) return;
  const wanted = [...mimeTypes, 'video/rtx'].map((type) => type.toLowerCase());
  const codecs = RTCRtpReceiver.getCapabilities(kind)?.codecs.filter((codec) => isWanted(codec, wanted)) ?? [];
  codecs.sort((a, b) => wanted.indexOf(a.mimeType.toLowerCase()) - wanted.indexOf(b.mimeType.toLowerCase()));
  if (codecs.length > 0) transceiver.setCodecPreferences(codecs);
}

function isWanted({ mimeType, sdpFmtpLine = '' }: RTCRtpCodec, wanted: readonly string[]): boolean {
  if (!wanted.includes(mimeType.toLowerCase())) return false;
  // Of H.264 only packetization mode 1, of VP9 only profile 0: what others can be expected to send.
  if (/h264/i.test(mimeType)) return sdpFmtpLine.includes('packetization-mode=1');
  if (/vp9/i.test(mimeType)) return sdpFmtpLine === '' || sdpFmtpLine.includes('profile-id=0');
  return true;
}

async function fitSmallPicture(sender: RTCRtpSender, track: MediaStreamTrack): Promise<void> {
  const { height } = track.getSettings();
  const parameters = sender.getParameters();
  const small = parameters.encodings.find((encoding) => encoding.rid === 'l');
  if (height === undefined || small === undefined) return;
  small.scaleResolutionDownBy = Math.max(1, height / smallHeight);
  await sender.setParameters(parameters);
}

async function encodeWatched(sender: RTCRtpSender, layers: readonly LayerWatch[]): Promise<void> {
  const parameters = sender.getParameters();
  let changed = false;
  for (const encoding of parameters.encodings) {
    // Without simulcast there is one encoding, which has no name.
    const layer =
      layers.find(({ rid }) => rid === (encoding.rid ?? null)) ?? (layers.length === 1 ? layers[0] : undefined);
    if (layer === undefined || encoding.active === layer.watched) continue;
    encoding.active = layer.watched;
    changed = true;
  }
  if (changed) await sender.setParameters(parameters);
}
