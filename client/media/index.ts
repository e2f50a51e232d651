export { loadClip } from './clip.ts';
export type { Clip } from './clip.ts';
export { ClipSource } from './clip-source.ts';
export { IvfRecorder } from './ivf-recorder.ts';
export { OpusRecorder } from './opus-recorder.ts';
