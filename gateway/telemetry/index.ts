export { QosMetrics } from './qos-metrics.ts';
export { Telemetry, telemetryFileName } from './telemetry.ts';
