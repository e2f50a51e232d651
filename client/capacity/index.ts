export { formulas } from './formulas.ts';
export type { Formula } from './formulas.ts';
export { inputs } from './inputs.ts';
export type { Input } from './inputs.ts';
export { measuredInputs } from './measured.ts';
export type { Measured, MeasuredFigure } from './measured.ts';
export { defaultValues, faultsOf, planCapacity, readValue, sensitiveOutputs, sensitivityOf } from './plan.ts';
export type { InputValues, PlanLine, Sensitivity } from './plan.ts';
