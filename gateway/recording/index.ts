export { openRecordings, type Recordings } from './recordings.ts';
export { addRecordingMetrics } from './recording-metrics.ts';
