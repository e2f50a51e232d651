/** The telemetry of the page's calls; a bundle of its own, loaded when a call stands. */
import { systemClock } from '../clock.ts';
import { QosReporter } from '../qos/qos-reporter.ts';
import type { QosReporterParts } from '../qos/qos-reporter.ts';
import { clientVersion } from '../version.ts';

export { hearing } from '../qos/hearing.ts';

export function startTelemetry(parts: Omit<QosReporterParts, 'client' | 'call' | 'clock'>): QosReporter {
  const [call = 0] = crypto.getRandomValues(new Uint32Array(1));
  return new QosReporter({ ...parts, client: { kind: 'browser', version: clientVersion }, call, clock: systemClock });
}
