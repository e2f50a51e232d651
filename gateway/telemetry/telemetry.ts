/** Where the telemetry of clients goes: metrics, and a file with one JSON object per line. */
import path from 'node:path';
import type { Logger } from '../../sfu/index.ts';
import type { QosEvent } from '../../tunnel-protocol/index.ts';
import type { QosMetrics } from './qos-metrics.ts';
import { RotatedFile } from './rotated-file.ts';

export const telemetryFileName = 'telemetry.ndjson';

/** Together at most 80 MiB: some 40 000 events. */
const maxFileBytes = 16 * 1024 * 1024;
const keptFiles = 4;
const maxQueuedBytes = 4 * 1024 * 1024;
/** A full disk must not fill the log, which may be on it. */
const errorLogIntervalMs = 60_000;

export interface TelemetryDeps {
  readonly dataDir: string;
  readonly edgeId: string;
  readonly region: string;
  readonly metrics: QosMetrics;
  readonly log: Logger;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly wallClock: () => number;
}

export class Telemetry {
  readonly #deps: TelemetryDeps;
  readonly #file: RotatedFile;
  #errorLoggedAt = -Infinity;

  constructor(deps: TelemetryDeps) {
    this.#deps = deps;
    this.#file = new RotatedFile({
      path: path.join(deps.dataDir, telemetryFileName),
      maxBytes: maxFileBytes,
      keep: keptFiles,
      maxQueuedBytes,
      onError: (error, lines) => {
        this.#unwritten(error, lines);
      },
    });
  }

  /** An event that was checked already. Never throws. */
  take(event: QosEvent): void {
    const { metrics, edgeId, region, wallClock } = this.#deps;
    metrics.take(event);
    const line = JSON.stringify({ at: new Date(wallClock()).toISOString(), edge: edgeId, region, ...event });
    if (!this.#file.append(line)) this.#unwritten(new Error('more waits to be written than may'), 1);
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #unwritten(error: unknown, lines: number): void {
    const { metrics, now, log } = this.#deps;
    metrics.count('unwritten', lines);
    if (now() - this.#errorLoggedAt < errorLogIntervalMs) return;
    this.#errorLoggedAt = now();
    log.warn({ err: error, lines }, 'telemetry could not be written to the data folder; it is still in the metrics');
  }
}
