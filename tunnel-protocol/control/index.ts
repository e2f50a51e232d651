export type { AfterClose, CloseCode, CloseDescription } from './close-codes.ts';
export { afterClose, closeCodeOf, closeCodes } from './close-codes.ts';
export { ControlEndpoint } from './control-endpoint.ts';
export type { ControlEndpointOptions, ControlEvent, ControlRole } from './control-endpoint.ts';
export type { ControlFrame, IgnorableFrame, PathReport, SignalFragment } from './control-frames.ts';
export {
  capability,
  clipReason,
  controlType,
  decodeControlFrame,
  encodeControlFrame,
  firstIgnorableType,
  reservedControlType,
} from './control-frames.ts';
export type { DelayTrend } from './delay-trend.ts';
export type { ControlError, ControlErrorReason } from './errors.ts';
export { controlErrors } from './errors.ts';
export { controlLimits, controlVersion } from './limits.ts';
