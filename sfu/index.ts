export { ControlSession } from './control-session.ts';
export { createSfu } from './create-sfu.ts';
export { sfuCounts } from './counters.ts';
export { SfuError, sfuErrors, signalErrors } from './errors.ts';
export type { SfuErrorCode, SignalErrorCode } from './errors.ts';
export type * from './sfu.ts';
