/**
 * A participant: a person in a room. Publications and slots belong to it, and its reliable control state lives beside it.
 * Transports come and go under it; so do connections under its control session. Long because it is where all of these meet: each
 * has a file of its own, and what one means for the others is here.
 */
import {
  audioSlotMids,
  controlRungs,
  dataEndReasons,
  decodeRtcp,
  u32,
  videoSlotMids,
} from '../tunnel-protocol/index.ts';
import type {
  ControlRung,
  DataChannel,
  DataMessage,
  IceCredentials,
  ParticipantInfo,
  ParticipantStatus,
  PathReport,
  Permission,
  Rung,
  SignalEvent,
} from '../tunnel-protocol/index.ts';
import { ControlSession } from './control-session.ts';
import type { ControlSessionEvents } from './control-session.ts';
import { DataEndpoint } from './data-channel/index.ts';
import { Egress, Ingress } from './forward/index.ts';
import { LayerWatcher } from './layer-watch.ts';
import { TokenBucket } from './token-bucket.ts';
import { writeAnswer } from './sdp-answer.ts';
import type { SlotSsrcs } from './sdp-answer.ts';
import type { Offer } from './sdp-offer.ts';
import type { Candidate, RungMove, SessionRequest } from './sfu.ts';
import { defaultLayers, emptySlotPlan } from './slots.ts';
import type { SlotPlan, SlotWishes } from './slots.ts';
import type { RemoteData } from './data-channel/index.ts';
import { Transport } from './transport.ts';
import type { TransportDeps } from './transport.ts';

/** What a session may ask: an offer counts as {@link offerCost} requests, because it is that much work. */
const requestBurst = 60;
const requestsPerSecond = 20;
export const offerCost = 5;
/** Telemetry comes every 30 s, and once more at the end. */
const telemetryBurst = 4;
const telemetryPerSecond = 0.1;
/** Reports on the media path are asked for four times a second; who asks more often is not answered. */
const reportGapMs = 100;
/** A browser's own, and the one of the page's media stack on the tunnel. */
const maxTransports = 2;

/** What all participants of an SFU share. */
export interface ParticipantDeps extends TransportDeps {
  /** Monotonic ms: DTLS has timers of its own, whose events come with no time. */
  readonly now: () => number;
  readonly random: (length: number) => Uint8Array;
  readonly candidates: readonly Candidate[];
  readonly onRung?: (move: RungMove, sessionId: string) => void;
}

export interface ParticipantEvents extends ControlSessionEvents {
  readonly data: ParticipantData;
  /** A transport took over publications and slots: media can flow. */
  onActive(): void;
}

/** What a participant's own data channels bring. */
export interface ParticipantData {
  onMessage(channel: DataChannel, message: DataMessage): void;
  onChannelClosed(channel: DataChannel): void;
  /** All of them are gone. */
  onGone(): void;
}

export class Participant {
  /** Public within the room; the session's id is not told to others. */
  readonly id: string;
  readonly session: SessionRequest;
  readonly epoch: number;
  readonly control: ControlSession;
  readonly ingress: Ingress;
  readonly egress: Egress;
  joined = false;
  status: ParticipantStatus = {};
  wishes: SlotWishes = { main: null, audio: true, video: true, layers: defaultLayers };
  plan: SlotPlan = emptySlotPlan;
  /** The client left so much unacknowledged that an event had to be thrown away: the session cannot go on. */
  overrun = false;
  /** Where the SFU is reached through the edge that the client is connected to. */
  edgeCandidates: readonly Candidate[];
  readonly requestBudget: TokenBucket;
  readonly telemetryBudget: TokenBucket;
  readonly #watcher = new LayerWatcher();
  readonly #deps: ParticipantDeps;
  readonly #slots: ReadonlyMap<string, SlotSsrcs>;
  readonly #cname: string;
  readonly #originId: string;
  #originVersion = 0;
  readonly #data: ParticipantData;
  #endpoint: DataEndpoint | null = null;
  /** Whose DTLS the data channels run on. */
  #endpointTransport: Transport | null = null;
  /** At most {@link maxTransports}, oldest first, each with what its offer said. */
  readonly #transports = new Map<Transport, Offer['sections']>();
  /** The one that publications come from and slots go to. */
  #active: Transport | null = null;
  readonly #consenting = new Set<Transport>();
  /** Since when no path has media consent; null while one has. */
  #withoutConsentSince: number | null;
  #toldRung = '';
  #reportedAt = -Infinity;
  /** The last rung that carried media, for `onRung`. */
  #lastRung: Rung | null = null;
  readonly #openedAt: number;
  /** Whether there can be a control channel; without one, the session is as good as its media. */
  readonly #controlled: boolean;
  readonly #events: ParticipantEvents;
  #consentExpired = false;
  readonly #can: ReadonlySet<Permission>;

  constructor(
    deps: ParticipantDeps,
    session: SessionRequest,
    epoch: number,
    events: ParticipantEvents,
    now: number,
    controlled = true,
  ) {
    const { counters, random } = deps;
    this.#deps = deps;
    this.#openedAt = now;
    this.#data = events.data;
    this.#events = events;
    this.#controlled = controlled;
    this.session = session;
    this.epoch = epoch;
    this.edgeCandidates = session.candidates ?? [];
    this.id = hex(random(8));
    this.#can = new Set(session.can);
    this.#cname = hex(random(8));
    this.#originId = String(Number.parseInt(hex(random(6)), 16));
    this.#slots = chooseSsrcs([...videoSlotMids, ...audioSlotMids], random);
    this.#withoutConsentSince = now;
    this.telemetryBudget = new TokenBucket(telemetryBurst, telemetryPerSecond, now);
    this.requestBudget = new TokenBucket(requestBurst, requestsPerSecond, now);
    const ssrc = this.#slots.get(videoSlotMids[0])?.media ?? 0;
    this.control = new ControlSession(epoch, events, counters.sfu, now);
    this.ingress = new Ingress({ counters: counters.sfu, ssrc, cname: this.#cname });
    this.egress = new Egress({ counters: counters.sfu, random, cname: this.#cname, ssrcs: this.#slots });
  }

  can(permission: Permission): boolean {
    return this.#can.has(permission);
  }

  /** Shown to others, and announced. */
  get visible(): boolean {
    return this.joined && !this.session.hidden;
  }

  /** This participant's end of the data channels; null while there are none. */
  get endpoint(): DataEndpoint | null {
    return this.#endpoint;
  }

  get info(): ParticipantInfo {
    return {
      id: this.id,
      identity: this.session.identity,
      name: this.session.name,
      publications: Object.values(this.ingress.tracks).flatMap((track) => track.publication ?? []),
      status: this.status,
    };
  }

  /** The rung that carries media; null before the first nomination. */
  get rung(): Rung | null {
    const [first] = this.#transports.keys();
    return (this.#active ?? first)?.nominated?.kind ?? null;
  }

  /**
   * Since when there has been neither a connection nor media consent, in ms; null while there is either. -Infinity where it
   * is over for good: consent of a client without a control channel has expired (RFC 9725 section 4.3.3).
   */
  get unreachableSince(): number | null {
    const { disconnectedAt } = this.control;
    if (disconnectedAt === null || this.#withoutConsentSince === null) return null;
    if (!this.#controlled && this.#consentExpired) return -Infinity;
    return Math.max(disconnectedAt, this.#withoutConsentSince);
  }

  /**
   * Takes an offer and writes the answer. A fingerprint that is known is about that transport; another one is another
   * transport, which becomes the active one where there is none that works, and otherwise when the client says so.
   */
  acceptOffer(offer: Offer, now: number): string {
    let transport = [...this.#transports.keys()].find((each) => each.fingerprint.value === offer.fingerprint.value);
    if (transport === undefined) {
      for (const other of this.#transports.keys()) {
        if (this.#transports.size < maxTransports) break;
        if (other !== this.#active) this.#close(other, now);
      }
      transport = this.#openTransport(offer);
    } else {
      transport.updateRemoteIce(offer.ice);
    }
    this.#transports.set(transport, offer.sections);
    if (this.#active === null || this.#active === transport) this.#negotiate(offer.sections, now);
    return writeAnswer(offer, {
      ice: transport.localIce,
      fingerprint: this.#deps.identity.fingerprint,
      candidates: this.candidates,
      cname: this.#cname,
      slots: this.#slots,
      data: this.can('data'),
      originId: this.#originId,
      originVersion: ++this.#originVersion,
    });
  }

  /** ICE credentials of the first transport; null when there is none. */
  get localIce(): IceCredentials | null {
    const [transport] = this.#transports.keys();
    return transport?.localIce ?? null;
  }

  get remoteIce(): IceCredentials | null {
    const [transport] = this.#transports.keys();
    return transport?.remoteIce ?? null;
  }

  /** The client of the first transport has new credentials. */
  restartIce(ice: IceCredentials): void {
    const [transport] = this.#transports.keys();
    transport?.updateRemoteIce(ice);
  }

  /** Where this SFU is to be found, best first. */
  get candidates(): readonly Candidate[] {
    return [...this.#deps.candidates, ...this.edgeCandidates];
  }

  /** Moves publications and slots to the transport of this fingerprint. False when there is none that media can take. */
  useTransport(fingerprint: string, now: number): boolean {
    const wanted = fingerprint.toUpperCase();
    const transport = [...this.#transports.keys()].find((each) => each.fingerprint.value === wanted);
    if (transport?.canSend !== true) return false;
    this.#activate(transport, now);
    return true;
  }

  /** Sends one event reliably, now or with the next connection. */
  send(event: SignalEvent, now: number): void {
    this.sendText(JSON.stringify(event), now);
  }

  /** The same for an event that many are told, and that was made text once for all. */
  sendText(text: string, now: number): void {
    if (!this.#controlled) return;
    if (this.control.send(text, now)) this.control.flush(now);
    else this.overrun = true;
  }

  /** Tells the client which of its video layers are watched, when that is news. */
  tellLayers(now: number): void {
    if (!this.joined) return;
    const layers = this.#watcher.update(this.ingress, now);
    if (layers !== null) this.send({ type: 'layers', layers }, now);
  }

  /** Tells the client which rung carries its media, when that is news. */
  tellRung(now: number): void {
    const rung = this.rung;
    const control = this.control.path?.kind;
    if (!this.joined || rung === null || control === undefined || !isControlRung(control)) return;
    const news = `${rung} ${control}`;
    if (news === this.#toldRung) return;
    this.#toldRung = news;
    this.send({ type: 'rung', rung, control }, now);
  }

  /** How the media path fares; null where there is nothing to say that the control channel would not tell. */
  report(now: number): PathReport | null {
    const transport = this.#active;
    if (transport === null || now - this.#reportedAt < reportGapMs) return null;
    if (transport.nominated === this.control.path) return null;
    this.#reportedAt = now;
    return transport.report(now);
  }

  tick(now: number): void {
    this.control.tick(now);
    this.ingress.tick(now);
    this.egress.tick(now);
    this.tellLayers(now);
  }

  /** Ends all transports; publications and slots stay. */
  closeTransports(now: number): void {
    for (const transport of [...this.#transports.keys()]) this.#close(transport, now);
  }

  #close(transport: Transport, now: number): void {
    if (!this.#transports.delete(transport)) return;
    if (this.#endpointTransport === transport) {
      // Its last word still finds the way.
      this.#endpoint?.end();
      this.#dropEndpoint();
    }
    transport.close();
    this.#consent(transport, false, now);
    if (this.#active !== transport) return;
    this.#active = null;
    this.ingress.connect(null, now);
    this.egress.connect(null, now);
    this.#fallBack(now);
  }

  #negotiate(sections: Offer['sections'], now: number): void {
    this.ingress.negotiate(sections);
    this.egress.negotiate(sections, now);
  }

  #activate(transport: Transport, now: number): void {
    if (this.#active === transport) return;
    this.#active = transport;
    // The streams of the one before are gone, also where it still sends.
    this.ingress.connect(null, now);
    this.egress.connect(null, now);
    this.#negotiate(this.#transports.get(transport) ?? [], now);
    this.ingress.connect(transport, now);
    this.#updateEgress(now);
    const { nominated } = transport;
    if (nominated !== null) this.#noteRung(nominated.kind, false, now);
    this.tellRung(now);
    this.#events.onActive();
  }

  /** To a transport that works, where the active one does not. */
  #fallBack(now: number): void {
    if (this.#active?.canSend === true) return;
    for (const transport of this.#transports.keys()) {
      if (transport === this.#active || !transport.canSend) continue;
      this.#activate(transport, now);
      return;
    }
  }

  #openTransport(offer: Offer): Transport {
    const { now } = this.#deps;
    const transport: Transport = new Transport(this.#deps, offer, {
      onConnected: () => {
        if (!this.#transports.has(transport)) return;
        if (offer.data !== null && this.can('data') && this.#endpoint === null) this.#openData(transport, offer.data);
        if (this.#active === null) this.#activate(transport, now());
        else this.#fallBack(now());
      },
      onRtp: (packet, at) => {
        // Of the other one: it is on its way in or out.
        if (this.#active === transport) this.ingress.receiveRtp(packet, at);
        else this.#deps.counters.sfu.rtp_unroutable++;
      },
      onRtcp: (compound, at) => {
        if (this.#active === transport) this.#receiveRtcp(compound, at);
      },
      onData: (packet) => {
        if (this.#endpointTransport === transport) this.#endpoint?.receive(packet);
      },
      onNominated: (path, wasLost) => {
        if (this.#active !== transport) {
          this.#fallBack(now());
          return;
        }
        this.#noteRung(path.kind, wasLost, now());
        this.#updateEgress(now());
        this.tellRung(now());
      },
      isSibling: (other) => this.#transports.has(other),
      onConsent: (granted, expired) => {
        this.#consentExpired = expired;
        this.#consent(transport, granted, now());
        if (!granted) this.#fallBack(now());
      },
      onDropped: (meta) => {
        this.egress.dropped(meta, now());
      },
      onClosed: () => {
        this.#close(transport, now());
        if (!this.#controlled) this.#events.onEnded('left');
      },
    });
    return transport;
  }

  #openData(transport: Transport, remote: RemoteData): void {
    const { counters, now } = this.#deps;
    const endpoint: DataEndpoint = new DataEndpoint(
      remote,
      counters.data,
      (packet) => {
        transport.sendData(packet);
      },
      {
        ...this.#data,
        onEnded: (reason) => {
          if (this.#endpoint !== endpoint) return;
          this.#dropEndpoint();
          if (reason !== 'closed-by-peer') {
            this.send({ type: 'data-ended', code: reason, message: dataEndReasons[reason] }, now());
          }
        },
      },
    );
    this.#endpoint = endpoint;
    this.#endpointTransport = transport;
  }

  #dropEndpoint(): void {
    if (this.#endpoint === null) return;
    this.#endpoint = null;
    this.#endpointTransport = null;
    this.#data.onGone();
  }

  #noteRung(to: Rung, wasLost: boolean, now: number): void {
    const from = this.#lastRung;
    if (from === to) return;
    this.#lastRung = to;
    const move = { from, to, reason: wasLost ? 'path-lost' : 'nominated', afterMs: now - this.#openedAt } as const;
    this.#deps.onRung?.(move, this.session.sessionId);
  }

  #consent(transport: Transport, granted: boolean, now: number): void {
    if (granted) this.#consenting.add(transport);
    else this.#consenting.delete(transport);
    this.#withoutConsentSince = this.#consenting.size > 0 ? null : (this.#withoutConsentSince ?? now);
    if (transport === this.#active) this.#updateEgress(now);
  }

  /** Slots run only while their packets have somewhere to go, so that they begin with a key frame that arrives. */
  #updateEgress(now: number): void {
    this.egress.connect(this.#active?.canSend === true ? this.#active : null, now);
  }

  #receiveRtcp(compound: Uint8Array, now: number): void {
    const packets = decodeRtcp(compound);
    if (typeof packets === 'string') {
      this.#deps.counters.sfu.rtcp_malformed++;
      return;
    }
    for (const packet of packets) {
      this.ingress.receiveRtcp(packet, now);
      this.egress.receiveRtcp(packet, now);
    }
  }
}

function isControlRung(rung: Rung): rung is ControlRung {
  return (controlRungs as readonly Rung[]).includes(rung);
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Random, different from each other, and not 0, which stands for "none" here and there (RFC 3550 section 8.1). */
function chooseSsrcs(mids: readonly string[], random: (length: number) => Uint8Array): ReadonlyMap<string, SlotSsrcs> {
  const chosen = new Set<number>();
  while (chosen.size < mids.length * 2) {
    const ssrc = u32(random(4), 0);
    if (ssrc !== 0) chosen.add(ssrc);
  }
  const ssrcs = [...chosen];
  return new Map(mids.map((mid, at) => [mid, { media: ssrcs[at * 2] ?? 0, rtx: ssrcs[at * 2 + 1] ?? 0 }]));
}
