/** What Prometheus is told of recordings, by edges with an SFU of their own and by SFU nodes. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Storage } from '../storage/index.ts';

export function addRecordingMetrics(
  registry: Registry,
  counters: () => Readonly<Record<string, number>>,
  storage: Storage,
): void {
  const registers = [registry];
  new Gauge({
    name: 'sallyport_recordings',
    help: 'Rooms that are being recorded',
    registers,
    collect() {
      const { recordings_started = 0, recordings_ended = 0 } = counters();
      this.set(recordings_started - recordings_ended);
    },
  });
  new Counter({
    name: 'sallyport_recordings_total',
    help: 'Recordings that began, that ended, and that ended because they could not be written',
    labelNames: ['outcome'],
    registers,
    collect() {
      const { recordings_started = 0, recordings_ended = 0, recordings_failed = 0 } = counters();
      this.reset();
      this.inc({ outcome: 'started' }, recordings_started);
      this.inc({ outcome: 'ended' }, recordings_ended);
      this.inc({ outcome: 'failed' }, recordings_failed);
    },
  });
  new Gauge({
    name: 'sallyport_recording_uploads_pending',
    help: 'Recordings that are not in the object store yet',
    registers,
    collect() {
      this.set(storage.pending);
    },
  });
  new Counter({
    name: 'sallyport_recording_uploads_total',
    help: 'Recordings that were stored, and attempts that failed and are made again',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset();
      this.inc({ outcome: 'stored' }, storage.stored);
      this.inc({ outcome: 'retried' }, storage.retries);
    },
  });
}
