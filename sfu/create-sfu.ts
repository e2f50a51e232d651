/** Puts the SFU together, and gives every datagram to whom it is for. The only timer and the only clock are here. */
import * as nodeCrypto from 'node:crypto';
import { classifyDatagram, datagramClass, srtpCryptoFrom, u32 } from '../tunnel-protocol/index.ts';
import type { CloseCode, Path, Publication } from '../tunnel-protocol/index.ts';
import { createCounters, gatherCounters } from './counters.ts';
import { createDtlsIdentity } from './dtls/index.ts';
import { SfuError } from './errors.ts';
import { IceLite } from './ice/index.ts';
import { Participant } from './participant.ts';
import type { ParticipantDeps } from './participant.ts';
import { RoomRecorder } from './room-recorder.ts';
import { Room } from './room.ts';
import { isForeignOfferError, parseForeignOffer } from './foreign-offer.ts';
import type {
  Candidate,
  EndReason,
  RecordingSummary,
  RoomSummary,
  SessionRequest,
  Sfu,
  SfuConfig,
  SfuDeps,
  WhipOpened,
  WhipPatched,
  WhipRefusal,
  WhipRole,
} from './sfu.ts';
import { SendBatch } from './send-batch.ts';
import type { Offer } from './sdp-offer.ts';
import { handleSignal, type SignallingDeps } from './signalling.ts';
import { loadSrtpWasm } from './srtp-wasm.ts';
import { Transport } from './transport.ts';
import { iceTagOf, joinWithOffer, patchIce } from './whip.ts';

/** How often what is due is looked for, in ms. */
const tickMs = 100;
const iceTickMs = 1000;
/** A fault that repeats with every datagram must not fill the log. */
const faultLogIntervalMs = 1000;

const closeCodeOfEnd: Readonly<Record<EndReason, CloseCode>> = {
  left: 'normal',
  kicked: 'kicked',
  'room-ended': 'room-ended',
  expired: 'session-ended',
  shutdown: 'draining',
  // The client is to ask for a new session.
  moved: 'unknown-session',
  'protocol-error': 'protocol-error',
};

/** Does nothing before `start`. Configuration was checked by whoever read it. */
export function createSfu(config: SfuConfig, deps: SfuDeps): Sfu {
  return new SfuNode(config, deps);
}

interface Session {
  readonly participant: Participant;
  readonly room: Room;
  /** Of a client without a control channel; null for the others. */
  readonly offer: Offer | null;
}

class SfuNode implements Sfu {
  readonly #config: SfuConfig;
  readonly #deps: SfuDeps;
  readonly #counters = createCounters();
  readonly #ice: IceLite;
  readonly #sessions = new Map<string, Session>();
  readonly #rooms = new Map<string, Room>();
  /** Who is on the other end of a control connection. */
  readonly #attached = new Map<Path, Session>();
  readonly #recorder: RoomRecorder;
  #participantDeps: ParticipantDeps | null = null;
  #timer: NodeJS.Timeout | null = null;
  #iceTickedAt = -Infinity;
  #faultLoggedAt = -Infinity;

  constructor(config: SfuConfig, deps: SfuDeps) {
    this.#config = config;
    this.#deps = deps;
    const hmacSha1 = (key: Uint8Array, data: Uint8Array): Uint8Array =>
      nodeCrypto.createHmac('sha1', key).update(data).digest();
    const { ufragPrefix = '' } = config;
    this.#ice = new IceLite({ random: deps.random, hmacSha1, ufragPrefix }, this.#counters.ice);
    this.#recorder = new RoomRecorder(deps, this.#counters.sfu);
  }

  get counters(): Readonly<Record<string, number>> {
    return gatherCounters(this.#counters);
  }

  async start(): Promise<void> {
    if (this.#participantDeps !== null) return;
    const identity = await createDtlsIdentity();
    this.#participantDeps = {
      ice: this.#ice,
      identity,
      srtpCrypto: srtpCryptoFrom(nodeCrypto),
      batch: new SendBatch(
        await loadSrtpWasm(),
        this.#deps.endOfTurn ?? ((run) => setImmediate(run)),
        this.#deps.nativeCiphers,
      ),
      counters: this.#counters,
      random: this.#deps.random,
      now: this.#deps.now,
      candidates: this.#config.candidates,
      ...(this.#deps.onRung === undefined ? {} : { onRung: this.#deps.onRung }),
    };
    this.#timer = setInterval(() => {
      this.#tick();
    }, tickMs);
    this.#timer.unref();
    this.#deps.log.info({ nodeId: this.#config.nodeId, fingerprint: identity.fingerprint }, 'sfu started');
  }

  openSession(request: SessionRequest): { readonly epoch: number } {
    const { participant } = this.#admit(request);
    return { epoch: participant.epoch };
  }

  openWhip(request: SessionRequest, role: WhipRole, text: string): WhipOpened | WhipRefusal {
    const offer = parseForeignOffer(text, role);
    if (isForeignOfferError(offer)) {
      this.#counters.sfu.offers_refused++;
      const { where, reason, unsupported } = offer;
      return { refused: unsupported ? 'unsupported' : 'malformed', detail: `${where}: ${reason}` };
    }
    const only = role === 'whip' ? 'publish' : 'subscribe';
    const can = request.can.filter((permission) => permission === only);
    const { participant } = this.#admit({ ...request, can }, offer);
    const answer = participant.acceptOffer(offer, this.#deps.now());
    return { epoch: participant.epoch, answer, iceTag: iceTagOf(participant) };
  }

  patchWhip(
    sessionId: string,
    fragment: string,
    iceTags: readonly string[] | null,
    candidates?: readonly Candidate[],
  ): WhipPatched {
    const session = this.#sessions.get(sessionId);
    if (session === undefined || session.offer === null) throw new SfuError('unknown-session');
    const { participant, offer } = session;
    if (candidates !== undefined) participant.edgeCandidates = candidates;
    return patchIce(participant, offer, fragment, iceTags, this.#deps.now());
  }

  hasSession(sessionId: string): boolean {
    return this.#sessions.has(sessionId);
  }

  attach(sessionId: string, path: Path, candidates?: readonly Candidate[]): void {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) throw new SfuError('unknown-session');
    this.#attached.set(path, session);
    if (candidates !== undefined) session.participant.edgeCandidates = candidates;
    session.participant.control.attach(path, this.#deps.now());
  }

  detach(path: Path): void {
    const session = this.#attached.get(path);
    this.#attached.delete(path);
    session?.participant.control.detach(path, this.#deps.now());
    // Media of any transport may have come on it, not only of the session that the connection was for.
    if (path.owner instanceof Transport) path.owner.forget(path);
  }

  receive(path: Path, datagram: Uint8Array): void {
    try {
      this.#receive(path, datagram, this.#deps.now());
    } catch (cause) {
      this.#fault(cause, 'a datagram could not be handled');
    }
  }

  endSession(sessionId: string, reason: EndReason): boolean {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return false;
    const { participant, room } = session;
    const now = this.#deps.now();
    this.#sessions.delete(sessionId);
    room.leave(participant, now);
    if (room.sessions.size === 0) {
      this.#recorder.stop(room, reason === 'shutdown' ? 'shutdown' : 'room-ended');
      this.#rooms.delete(room.name);
    }
    participant.closeTransports(now);
    const path = participant.control.path;
    participant.control.close(closeCodeOfEnd[reason], now);
    if (path !== null) this.detach(path);
    this.#counters.sfu.sessions_ended++;
    if (reason === 'expired') this.#counters.sfu.sessions_expired++;
    this.#deps.onSessionEnd?.(sessionId);
    return true;
  }

  leaveRoom(name: string): number {
    const sessions = [...(this.#rooms.get(name)?.sessions ?? [])];
    for (const { session } of sessions) this.endSession(session.sessionId, 'moved');
    return sessions.length;
  }

  rooms(): readonly RoomSummary[] {
    return [...this.#rooms.values()].map((room) => room.summary);
  }

  room(name: string): RoomSummary | undefined {
    return this.#rooms.get(name)?.summary;
  }

  kick(room: string, participantId: string): void {
    const { participant } = this.#find(room, participantId);
    this.endSession(participant.session.sessionId, 'kicked');
  }

  mute(room: string, participantId: string, source: Publication['source']): void {
    const found = this.#find(room, participantId);
    const muted = found.room.muteByModerator(found.participant, source, this.#deps.now());
    if (!muted) throw new SfuError('unknown-source');
  }

  endRoom(name: string): void {
    const room = this.#rooms.get(name);
    if (room === undefined) throw new SfuError('unknown-room');
    this.#endRoom(room, null);
  }

  async startRecording(name: string, by: 'admin' | 'api' | 'token'): Promise<RecordingSummary> {
    const room = this.#rooms.get(name);
    if (room === undefined) throw new SfuError('unknown-room');
    return this.#recorder.start(room, by);
  }

  stopRecording(name: string, by: 'admin' | 'api'): boolean {
    const room = this.#rooms.get(name);
    if (room === undefined) throw new SfuError('unknown-room');
    return this.#recorder.stop(room, by);
  }

  sessionsByRung(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { participant } of this.#sessions.values()) {
      const rung = participant.rung ?? 'none';
      counts.set(rung, (counts.get(rung) ?? 0) + 1);
    }
    return counts;
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    for (const sessionId of [...this.#sessions.keys()]) this.endSession(sessionId, 'shutdown');
    if (this.#participantDeps !== null) this.#deps.log.info({ nodeId: this.#config.nodeId }, 'sfu stopped');
    this.#participantDeps = null;
    await this.#recorder.close();
  }

  /** `offer` is that of a client without a control channel. */
  #admit(request: SessionRequest, offer: Offer | null = null): Session {
    const deps = this.#participantDeps;
    if (deps === null) throw new SfuError('closed');
    if (this.#sessions.has(request.sessionId)) throw new SfuError('session-exists');
    const room = this.#rooms.get(request.room) ?? new Room(request.room, this.#deps.now());
    if (room.sessions.size >= this.#config.maxParticipantsPerRoom) throw new SfuError('room-full');
    const now = deps.now();
    // Random, so that a session of an earlier life of this node is never taken for this one; not 0, which says nothing.
    const epoch = u32(deps.random(4), 0) || 1;
    const signalling: SignallingDeps = {
      counters: this.#counters.sfu,
      end: (who, reason) => {
        this.endSession(who.session.sessionId, reason);
      },
      endRoom: () => {
        this.#endRoom(room, participant);
      },
      startRecording: (by) => {
        this.#recorder.begin(room, by);
      },
      stopRecording: () => this.#recorder.stop(room, 'admin'),
      canRecord: this.#recorder.isAvailable,
      onTelemetry: this.#deps.onTelemetry,
    };
    const participant: Participant = new Participant(
      deps,
      request,
      epoch,
      {
        onMessage: (text) => {
          handleSignal(signalling, room, participant, text, deps.now());
        },
        onReport: () => participant.report(deps.now()),
        onOpen: () => {
          participant.tellRung(deps.now());
        },
        onActive: () => {
          if (offer === null || participant.joined) return;
          joinWithOffer(room, participant, offer, deps.now());
          if (request.record === true) this.#recorder.begin(room, 'token');
        },
        onTaken: (path, take) => {
          this.#deps.onTaken?.(request.sessionId, path, take);
        },
        onLost: (path) => {
          this.detach(path);
        },
        onEnded: (reason) => {
          this.endSession(request.sessionId, reason);
        },
        data: {
          onMessage: (channel, message) => {
            room.relayData(participant, channel, message);
          },
          onChannelClosed: (channel) => {
            room.releaseData(participant, channel);
          },
          onGone: () => {
            room.releaseData(participant, null);
          },
        },
      },
      now,
      offer === null,
    );
    const session = { participant, room, offer };
    room.sessions.add(participant);
    this.#rooms.set(room.name, room);
    this.#sessions.set(request.sessionId, session);
    this.#counters.sfu.sessions_opened++;
    return session;
  }

  #receive(path: Path, datagram: Uint8Array, now: number): void {
    const counters = this.#counters.sfu;
    switch (classifyDatagram(datagram)) {
      case datagramClass.rtp:
        if (path.owner instanceof Transport) path.owner.receiveMedia(path, datagram, now);
        else counters.datagrams_unowned++;
        return;
      case datagramClass.stun:
        this.#ice.receive(path, datagram, now);
        return;
      case datagramClass.dtls:
        if (path.owner instanceof Transport) path.owner.receiveDtls(path, datagram);
        else counters.datagrams_unowned++;
        return;
      case datagramClass.control: {
        const session = this.#attached.get(path);
        if (session === undefined) counters.control_unattached++;
        else session.participant.control.receive(path, datagram, now);
        return;
      }
      default:
        counters.datagrams_unknown++;
    }
  }

  #tick(): void {
    const now = this.#deps.now();
    try {
      if (now - this.#iceTickedAt >= iceTickMs) {
        this.#iceTickedAt = now;
        this.#ice.tick(now);
      }
      for (const [sessionId, { participant }] of this.#sessions) {
        participant.tick(now);
        const since = participant.unreachableSince;
        if (participant.overrun) this.endSession(sessionId, 'protocol-error');
        else if (since !== null && now - since >= this.#config.sessionGraceMs) this.endSession(sessionId, 'expired');
      }
      for (const room of this.#rooms.values()) room.tick(now);
    } catch (cause) {
      this.#fault(cause, 'the tick failed');
    }
  }

  /** Ends all sessions of the room, the one of `last` in the end. */
  #endRoom(room: Room, last: Participant | null): void {
    const sessions = [...room.sessions].filter((participant) => participant !== last);
    if (last !== null) sessions.push(last);
    // Nobody need be told that the others leave.
    room.close();
    for (const { session } of sessions) this.endSession(session.sessionId, 'room-ended');
  }

  #find(roomName: string, participantId: string): Pick<Session, 'participant' | 'room'> {
    const room = this.#rooms.get(roomName);
    if (room === undefined) throw new SfuError('unknown-room');
    const participant = room.member(participantId);
    if (participant === undefined) throw new SfuError('unknown-participant');
    return { participant, room };
  }

  #fault(cause: unknown, message: string): void {
    this.#counters.sfu.internal_errors++;
    const now = this.#deps.now();
    if (now - this.#faultLoggedAt < faultLogIntervalMs) return;
    this.#faultLoggedAt = now;
    this.#deps.log.error({ err: cause }, message);
  }
}
