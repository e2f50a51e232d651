/** Prometheus metrics of an SFU node. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Registry } from 'prom-client';
import { rungs } from '../tunnel-protocol/index.ts';
import type { Traffic } from './counters.ts';
import { addRecordingMetrics } from './recording/index.ts';
import { countRefusals } from './refusal-metrics.ts';
import type { Storage } from './storage/index.ts';
import type { TrunkServer } from './trunk/index.ts';

export interface NodeMetricsSources {
  readonly sfu: { readonly counters: Readonly<Record<string, number>>; sessionsByRung(): ReadonlyMap<string, number> };
  readonly trunks: Pick<TrunkServer, 'traffic' | 'edges' | 'flows' | 'refused' | 'malformed'>;
  readonly udp: Traffic;
  readonly storage: Storage;
}

const nanosecondsPerSecond = 1e9;
const packetCounts: ReadonlySet<string> = new Set(['rtp_in', 'rtcp_in', 'rtp_out', 'rtcp_out']);

export class NodeMetrics {
  readonly #registry = new Registry();
  readonly #loopDelay = monitorEventLoopDelay({ resolution: 10 });

  constructor({ sfu, trunks, udp, storage }: NodeMetricsSources) {
    const registers = [this.#registry];
    const loopDelay = this.#loopDelay;
    loopDelay.enable();
    addRecordingMetrics(this.#registry, () => sfu.counters, storage);
    this.#gauge('sallyport_sessions', 'Sessions by the rung that carries their media', ['rung'], (gauge) => {
      const byRung = sfu.sessionsByRung();
      for (const rung of ['none', ...rungs]) gauge.set({ rung }, byRung.get(rung) ?? 0);
    });
    this.#gauge('sallyport_trunk_edges', 'Edges that have a trunk to this node', [], (gauge) => {
      gauge.set(trunks.edges);
    });
    this.#gauge('sallyport_trunk_flows', 'Paths that come by trunks', [], (gauge) => {
      gauge.set(trunks.flows);
    });
    this.#gauge('sallyport_event_loop_delay_seconds', 'Delay of the event loop', ['quantile'], (gauge) => {
      for (const percent of [50, 99]) {
        gauge.set({ quantile: String(percent / 100) }, loopDelay.percentile(percent) / nanosecondsPerSecond);
      }
      loopDelay.reset();
    });
    new Counter({
      name: 'sallyport_sfu_packets_total',
      help: 'RTP and RTCP packets that the SFU received and sent',
      labelNames: ['direction'],
      registers,
      collect() {
        const { rtp_in = 0, rtcp_in = 0, rtp_out = 0, rtcp_out = 0 } = sfu.counters;
        this.reset();
        this.inc({ direction: 'in' }, rtp_in + rtcp_in);
        this.inc({ direction: 'out' }, rtp_out + rtcp_out);
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
          if (!packetCounts.has(event)) this.inc({ event }, count);
        }
      },
    });
    new Counter({
      name: 'sallyport_datagrams_total',
      help: 'Datagrams by where they came from and went to',
      labelNames: ['rung', 'direction'],
      registers,
      collect() {
        this.reset();
        this.inc({ rung: 'udp', direction: 'in' }, udp.received);
        this.inc({ rung: 'udp', direction: 'out' }, udp.sent);
        this.inc({ rung: 'trunk', direction: 'in' }, trunks.traffic.received);
        this.inc({ rung: 'trunk', direction: 'out' }, trunks.traffic.sent);
      },
    });
    new Counter({
      name: 'sallyport_datagrams_dropped_total',
      help: 'Datagrams that went no further, by reason',
      labelNames: ['rung', 'reason'],
      registers,
      collect() {
        this.reset();
        for (const [reason, count] of Object.entries(udp.dropped)) this.inc({ rung: 'udp', reason }, count);
        for (const [reason, count] of Object.entries(trunks.traffic.dropped))
          this.inc({ rung: 'trunk', reason }, count);
      },
    });
    new Counter({
      name: 'sallyport_refused_total',
      help: 'Trunks, datagrams and messages turned away as not authentic or not allowed, by reason',
      labelNames: ['reason'],
      registers,
      collect() {
        this.reset();
        this.inc({ reason: 'trunk_unproved' }, trunks.refused);
        this.inc({ reason: 'trunk_malformed' }, trunks.malformed);
        countRefusals(this, sfu.counters, { udp });
      },
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  close(): void {
    this.#loopDelay.disable();
    this.#registry.clear();
  }

  #gauge(name: string, help: string, labelNames: string[], collect: (gauge: Gauge) => void): void {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        collect(this);
      },
    });
  }
}
