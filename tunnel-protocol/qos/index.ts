export { eModel, eModelDefaults, mosOfR } from './e-model.ts';
export type { EModelParameters, EModelResult } from './e-model.ts';
export { opusMos } from './opus-mos.ts';
export type { HeardAudio } from './opus-mos.ts';
export * from './qos-event.ts';
