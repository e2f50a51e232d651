/** Prometheus metrics. Numbers are counted where things happen and read here, at a scrape. No label names anybody. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { RungMove } from '../sfu/index.ts';
import { rungs } from '../tunnel-protocol/index.ts';
import { dropReasons, type GatewayCounters } from './counters.ts';
import type { Demultiplexer } from './demux/index.ts';
import { QosMetrics } from './telemetry/index.ts';
import { addRecordingMetrics } from './recording/index.ts';
import { countRefusals, isRefusal } from './refusal-metrics.ts';
import type { Storage } from './storage/index.ts';

export interface MetricsSources {
  readonly counters: GatewayCounters;
  readonly sfu: { readonly counters: Readonly<Record<string, number>>; sessionsByRung(): ReadonlyMap<string, number> };
  readonly directory: { readonly up: boolean };
  /** How many other edges the directory names. */
  readonly otherEdges: () => number;
  /** Requests that were passed on to the edge that has their connection. */
  readonly forwarded: () => number;
  readonly turn: {
    readonly counters: Readonly<Record<string, number>>;
    readonly traffic: Readonly<Record<string, { received: number; sent: number; dropped: number }>>;
    readonly allocations: number;
  };
  /** Null without an SFU in this process. */
  readonly storage: Storage | null;
  readonly iceTcp: { readonly connections: number };
  readonly demux: Pick<Demultiplexer, 'counters' | 'openings' | 'nodeConnections' | 'adoptedConnections'>;
}

const loopDelayQuantiles = [50, 99] as const;
const nanosecondsPerSecond = 1e9;
const joinBuckets = [0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30];

export class Metrics {
  readonly #registry = new Registry();
  readonly #joins = new Histogram({
    name: 'sallyport_join_seconds',
    help: 'From the making of a session to the nomination of its first media path, by the rung of that path',
    labelNames: ['rung'],
    buckets: joinBuckets,
    registers: [this.#registry],
  });
  readonly #rungChanges = new Counter({
    name: 'sallyport_rung_changes_total',
    help: 'Media that moved to another rung: nominated by the client, or because the path before was lost',
    labelNames: ['from', 'to', 'reason'],
    registers: [this.#registry],
  });
  readonly qos = new QosMetrics(this.#registry);
  readonly #loopDelay = monitorEventLoopDelay({ resolution: 10 });

  constructor(sources: MetricsSources) {
    this.#loopDelay.enable();
    this.#addSessions(sources);
    this.#addDatagrams(sources);
    this.#addSfu(sources);
    this.#addTurn(sources);
    this.#addConnections(sources);
    this.#addLoopDelay();
    const { sfu, storage } = sources;
    if (storage !== null) addRecordingMetrics(this.#registry, () => sfu.counters, storage);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  rungMoved({ from, to, reason, afterMs }: RungMove): void {
    if (from === null) this.#joins.observe({ rung: to }, afterMs / 1000);
    else this.#rungChanges.inc({ from, to, reason });
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  close(): void {
    this.#loopDelay.disable();
    this.#registry.clear();
  }

  #addSessions({ counters, sfu, directory, otherEdges, forwarded }: MetricsSources): void {
    const registers = [this.#registry];
    new Gauge({
      name: 'sallyport_sessions',
      help: 'Sessions by the rung that carries their media; none before the first nomination',
      labelNames: ['rung'],
      registers,
      collect() {
        const byRung = sfu.sessionsByRung();
        for (const rung of ['none', ...rungs]) this.set({ rung }, byRung.get(rung) ?? 0);
      },
    });
    new Gauge({
      name: 'sallyport_directory_up',
      help: 'Whether the directory answers',
      registers,
      collect() {
        this.set(directory.up ? 1 : 0);
      },
    });
    new Gauge({
      name: 'sallyport_directory_edges',
      help: 'Other edges that take sessions, by what the directory said last: where clients go when this one dies',
      registers,
      collect() {
        this.set(otherEdges());
      },
    });
    new Counter({
      name: 'sallyport_requests_forwarded_total',
      help: 'Requests of HTTP tunnels that were passed on to the edge that has their connection',
      registers,
      collect() {
        this.reset();
        this.inc(forwarded());
      },
    });
    new Counter({
      name: 'sallyport_rung_attempts_total',
      help: 'Tunnel connections asked for, by outcome',
      labelNames: ['rung', 'outcome'],
      registers,
      collect() {
        this.reset();
        this.inc({ rung: 'websocket', outcome: 'accepted' }, counters.tunnelsAccepted);
        this.inc({ rung: 'websocket', outcome: 'refused' }, counters.tunnelsRefused);
        for (const [rung, { accepted, refused }] of Object.entries(counters.httpTunnels)) {
          this.inc({ rung, outcome: 'accepted' }, accepted);
          this.inc({ rung, outcome: 'refused' }, refused);
        }
      },
    });
    new Counter({
      name: 'sallyport_audio_connections_total',
      help: 'WebSockets opened for audio beside those of sessions',
      registers,
      collect() {
        this.reset();
        this.inc(counters.audioConnections);
      },
    });
    new Counter({
      name: 'sallyport_refused_total',
      help: 'Requests, connections, datagrams and messages turned away as not authentic or not allowed, by reason',
      labelNames: ['reason'],
      registers,
      collect() {
        this.reset();
        for (const [reason, count] of counters.refused) this.inc({ reason }, count);
        countRefusals(this, sfu.counters, { udp: counters.udp, ice_tcp: counters.iceTcp });
      },
    });
  }

  #addDatagrams({ counters, turn }: MetricsSources): void {
    const registers = [this.#registry];
    const traffics = {
      udp: counters.udp,
      'ice-tcp': counters.iceTcp,
      websocket: counters.websocket,
      'http-stream': counters.httpStream,
      'long-poll': counters.longPoll,
    };
    new Counter({
      name: 'sallyport_datagrams_total',
      help: 'Datagrams of all classes by rung',
      labelNames: ['rung', 'direction'],
      registers,
      collect() {
        this.reset();
        for (const [rung, { received, sent }] of Object.entries({ ...traffics, ...turn.traffic })) {
          this.inc({ rung, direction: 'in' }, received);
          this.inc({ rung, direction: 'out' }, sent);
        }
      },
    });
    new Counter({
      name: 'sallyport_datagrams_dropped_total',
      help: 'Datagrams that went no further',
      labelNames: ['rung', 'reason'],
      registers,
      collect() {
        this.reset();
        for (const [rung, { dropped }] of Object.entries(traffics)) {
          for (const reason of dropReasons) this.inc({ rung, reason }, dropped[reason]);
        }
        // Why is in sallyport_turn_events_total, for all kinds of clients together.
        for (const [rung, { dropped }] of Object.entries(turn.traffic)) {
          this.inc({ rung, reason: 'not-relayed' }, dropped);
        }
      },
    });
  }

  #addSfu({ sfu }: MetricsSources): void {
    const registers = [this.#registry];
    new Counter({
      name: 'sallyport_sfu_packets_total',
      help: 'RTP packets through the SFU',
      labelNames: ['direction'],
      registers,
      collect() {
        this.reset();
        this.inc({ direction: 'in' }, sfu.counters['rtp_in'] ?? 0);
        this.inc({ direction: 'out' }, sfu.counters['rtp_out'] ?? 0);
      },
    });
    new Counter({
      name: 'sallyport_sfu_events_total',
      help: 'What else the SFU counts',
      labelNames: ['event'],
      registers,
      collect() {
        this.reset();
        for (const [event, count] of Object.entries(sfu.counters)) {
          if (event !== 'rtp_in' && event !== 'rtp_out' && !isRefusal(event)) this.inc({ event }, count);
        }
      },
    });
  }

  #addTurn({ turn }: MetricsSources): void {
    const registers = [this.#registry];
    new Gauge({
      name: 'sallyport_turn_allocations',
      help: 'TURN allocations that live',
      registers,
      collect() {
        this.set(turn.allocations);
      },
    });
    new Counter({
      name: 'sallyport_turn_events_total',
      help: 'What TURN counts: requests and their refusals, datagrams relayed and dropped, connections',
      labelNames: ['event'],
      registers,
      collect() {
        this.reset();
        for (const [event, count] of Object.entries(turn.counters)) this.inc({ event }, count);
      },
    });
  }

  #addConnections({ demux, iceTcp }: MetricsSources): void {
    const registers = [this.#registry];
    new Counter({
      name: 'sallyport_connections_total',
      help: 'Connections on the public TCP port, by what they turned out to be; tls-other again by what came after the handshake',
      labelNames: ['kind'],
      registers,
      collect() {
        this.reset();
        for (const [kind, count] of Object.entries(demux.counters.kinds)) this.inc({ kind }, count);
      },
    });
    new Counter({
      name: 'sallyport_connections_refused_total',
      help: 'Connections on the public TCP port that were closed before anybody served them, by reason',
      labelNames: ['reason'],
      registers,
      collect() {
        this.reset();
        for (const [reason, count] of Object.entries(demux.counters.refused)) this.inc({ reason }, count);
      },
    });
    new Gauge({
      name: 'sallyport_connections',
      help: 'Connections on the public TCP port: opening, served by Node (of these ice-tcp), adopted by uWebSockets.js',
      labelNames: ['state'],
      registers,
      collect() {
        this.set({ state: 'opening' }, demux.openings);
        this.set({ state: 'node' }, demux.nodeConnections);
        this.set({ state: 'ice-tcp' }, iceTcp.connections);
        this.set({ state: 'adopted' }, demux.adoptedConnections);
      },
    });
    new Counter({
      name: 'sallyport_connections_missed_total',
      help: 'Connections whose reset Node did not notice, ended because the kernel knew',
      registers,
      collect() {
        this.reset();
        this.inc(demux.counters.missed);
      },
    });
  }

  #addLoopDelay(): void {
    const delay = this.#loopDelay;
    new Gauge({
      name: 'sallyport_event_loop_delay_seconds',
      help: 'Delay of the event loop since the scrape before',
      labelNames: ['quantile'],
      registers: [this.#registry],
      collect() {
        for (const percent of loopDelayQuantiles) {
          this.set({ quantile: String(percent / 100) }, delay.percentile(percent) / nanosecondsPerSecond);
        }
        this.set({ quantile: '1' }, delay.max / nanosecondsPerSecond);
        delay.reset();
      },
    });
  }
}
