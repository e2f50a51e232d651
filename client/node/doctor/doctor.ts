/** The doctor of Node: looks at the network, tries every rung by itself, and says what an administrator must open. */
import { rungs } from '../../../tunnel-protocol/index.ts';
import type { Rung } from '../../../tunnel-protocol/index.ts';
import type { ProxyOption } from '../../call.ts';
import { systemClock } from '../../clock.ts';
import type { ClientClock } from '../../clock.ts';
import { adviceFor } from '../../doctor/advice.ts';
import type { Invitation } from '../../doctor/invitation.ts';
import { noFigures, untestedRungs } from '../../doctor/verdicts.ts';
import type { CertificateFinding, DoctorReport, NetworkFindings, RungVerdict } from '../../doctor/types.ts';
import { ClientError, asClientError } from '../../errors.ts';
import { join } from '../join.ts';
import type { NodeCall } from '../node-call.ts';
import { proxyRoute } from '../proxy-route.ts';
import { tlsTrust } from '../tls-trust.ts';
import { probeMedia } from './probe-media.ts';
import { invite, seeCertificate, tryIpv6, unlessAborted } from './probe-network.ts';
import type { SeenCertificate } from './probe-network.ts';

export interface DoctorOptions {
  readonly proxy?: ProxyOption;
  readonly ca?: string | readonly string[];
  readonly signal?: AbortSignal;
  /** Told in words what is going on, and of each verdict as it comes. */
  readonly onProgress?: (what: string) => void;
  readonly onVerdict?: (verdict: RungVerdict) => void;
}

/** Everything, with what it takes to say goodbye, ends within 30 s. */
const totalMs = 27_000;
const inviteMs = 8_000;
const ipv6Ms = 3_000;
/** A rung that is not there after this is not usable for anybody who waits for it. */
const joinMs = 7_000;
const sendMs = 1_500;
const settleMs = 1_000;
/** Rungs that are tried at once: each for itself, but within the time. */
const atOnce = 4;

/** Resolves within 30 s, whatever the network does. Rejects with ClientError `bad-option` or `bad-url` alone. */
export async function diagnose(address: string, options: DoctorOptions = {}): Promise<DoctorReport> {
  if (!URL.canParse(address)) throw new ClientError('bad-url');
  const url = new URL(address);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new ClientError('bad-url');
  const doctor = new Doctor(url, options, systemClock);
  return doctor.run();
}

class Doctor {
  readonly #url: URL;
  readonly #options: DoctorOptions;
  readonly #clock: ClientClock;
  readonly #route: ReturnType<typeof proxyRoute>;
  readonly #trust: ReturnType<typeof tlsTrust>;
  readonly #deadline = new AbortController();

  constructor(url: URL, options: DoctorOptions, clock: ClientClock) {
    this.#url = url;
    this.#options = options;
    this.#clock = clock;
    this.#route = proxyRoute(options.proxy, process.env);
    this.#trust = tlsTrust({ ...(options.ca === undefined ? {} : { ca: options.ca }) });
  }

  async run(): Promise<DoctorReport> {
    const startedAt = this.#clock.now();
    const when = new Date().toISOString();
    const callOff = (): void => {
      this.#deadline.abort();
    };
    const timer = this.#clock.setTimer(callOff, totalMs);
    this.#options.signal?.addEventListener('abort', callOff, { once: true });
    if (this.#options.signal?.aborted === true) callOff();
    try {
      const { invitation, problem, seen, ipv6 } = await this.#look();
      const verdicts = invitation === null ? untestedRungs(problem) : await this.#tryAll(invitation);
      const facts = {
        version: 1,
        url: this.#url.origin,
        host: this.#url.host,
        when,
        ms: Math.round(this.#clock.now() - startedAt),
        edge: invitation?.edge ?? null,
        problem: problem === null ? null : { code: problem.code, message: problem.message },
        network: this.#findings(invitation, problem, seen, ipv6, verdicts),
        rungs: verdicts,
      } as const;
      return { ...facts, advice: adviceFor(facts) };
    } finally {
      this.#clock.clearTimer(timer);
      this.#options.signal?.removeEventListener('abort', callOff);
    }
  }

  async #look() {
    this.#options.onProgress?.(`Looking at the way to ${this.#url.host}`);
    const asked = invite(
      this.#url.href,
      this.#route,
      AbortSignal.any([this.#deadline.signal, AbortSignal.timeout(inviteMs)]),
    ).then(
      (invitation) => ({ invitation, problem: null }),
      (error: unknown) => ({ invitation: null, problem: asClientError(error, 'edge-unreachable') }),
    );
    const [{ invitation, problem }, seen, ipv6] = await Promise.all([
      asked,
      seeCertificate(this.#url, this.#trust, this.#route),
      tryIpv6(this.#url, ipv6Ms),
    ]);
    return { invitation, problem, seen, ipv6 };
  }

  async #tryAll(first: Invitation): Promise<RungVerdict[]> {
    const verdicts = new Map<Rung, RungVerdict>();
    const waiting = [...rungs];
    const invitations = [first];
    const work = async (): Promise<void> => {
      for (let rung = waiting.shift(); rung !== undefined; rung = waiting.shift()) {
        const verdict = await this.#tryRung(rung, first, invitations.pop());
        verdicts.set(rung, verdict);
        this.#options.onVerdict?.(verdict);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, work));
    return rungs.flatMap((rung) => verdicts.get(rung) ?? []);
  }

  /** Both ends of a test in a room of its own. Never rejects. */
  async #tryRung(rung: Rung, { edge }: Invitation, given: Invitation | undefined): Promise<RungVerdict> {
    const { signal } = this.#deadline;
    if (rung === 'turn-udp' && edge.ports.turnUdp === 0) return { ...noFigures, rung, outcome: 'not-offered' };
    if (signal.aborted) return { ...noFigures, rung, outcome: 'untested', detail: 'there was no time left' };
    this.#options.onProgress?.(`Trying ${rung}`);
    const calls: NodeCall[] = [];
    try {
      const invitation =
        given ?? (await invite(this.#url.href, this.#route, AbortSignal.any([signal, AbortSignal.timeout(inviteMs)])));
      const sender = await unlessAborted(this.#join(rung, invitation), signal);
      calls.push(sender);
      const receiver = await unlessAborted(this.#join(rung, invitation), signal);
      calls.push(receiver);
      const probing = probeMedia(sender, receiver, this.#clock, { sendMs, settleMs, signal });
      const media = await unlessAborted(probing, signal);
      const came = media.latencyMs !== null;
      const detail = came ? null : 'it connects, but media does not come through';
      return {
        ...noFigures,
        rung,
        ...media,
        outcome: came ? 'works' : 'blocked',
        detail,
        joinMs: Math.round(sender.stats().joinMs),
      };
    } catch (error) {
      const { code, message } = asClientError(error, 'media-unreachable');
      if (this.#deadline.signal.aborted)
        return { ...noFigures, rung, outcome: 'untested', detail: 'there was no time left' };
      return { ...noFigures, rung, outcome: 'blocked', code, detail: message };
    } finally {
      // Nothing waits for the goodbyes: the room ends by itself.
      for (const call of calls) void call.leave();
    }
  }

  #join(rung: Rung, { room, token }: Invitation): Promise<NodeCall> {
    const { proxy, ca } = this.#options;
    return join(this.#url.href, {
      room,
      token,
      name: 'doctor',
      rungs: [rung],
      insecure: true,
      telemetry: false,
      signal: this.#deadline.signal,
      timeoutMs: joinMs,
      ...(proxy === undefined ? {} : { proxy }),
      ...(ca === undefined ? {} : { ca }),
    });
  }

  #findings(
    invitation: Invitation | null,
    problem: ClientError | null,
    seen: SeenCertificate | null,
    ipv6: NetworkFindings['ipv6'],
    verdicts: readonly RungVerdict[],
  ): NetworkFindings {
    const of = (rung: Rung): RungVerdict | undefined => verdicts.find((verdict) => verdict.rung === rung);
    const port = this.#url.port === '' ? 443 : Number(this.#url.port);
    const target = { host: this.#url.hostname, port, secure: this.#url.protocol === 'https:' };
    const proxy = this.#route(target);
    const says = (rung: Rung, code: string): boolean => {
      const verdict = of(rung);
      return verdict?.code === code || (verdict?.detail?.includes(code) ?? false);
    };
    return {
      proxy: proxy === null ? null : `${proxy.host}:${String(proxy.port)}`,
      certificate: seen === null ? null : this.#judge(seen, invitation),
      upgradeStripped: of('websocket')?.outcome === 'blocked' && says('websocket', 'upgrade-stripped'),
      buffering: of('http-stream')?.outcome === 'blocked' && says('http-stream', 'buffered'),
      captivePortal: problem?.code === 'captive-portal',
      ipv6,
      seenAs: invitation?.seenAs ?? null,
      via: invitation?.via ?? null,
    };
  }

  #judge(
    { subject, issuer, trusted, fingerprint }: SeenCertificate,
    invitation: Invitation | null,
  ): CertificateFinding {
    const intercepted = invitation === null ? null : !invitation.certificates.includes(fingerprint);
    return { subject, issuer, trusted, intercepted };
  }
}
