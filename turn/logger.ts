/** What a TURN server needs of a logger; pino's has it. */
export interface TurnLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
