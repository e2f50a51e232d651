export type { ClientEvent, ClientOutput, ExchangeClientOptions, RequestKind } from './client-types.ts';
export { ConnectionBook } from './connection-book.ts';
export { exchangeFaults } from './errors.ts';
export type { ExchangeFault } from './errors.ts';
export { ExchangeClient } from './exchange-client.ts';
export { closingBody, exchangeFlag, exchangeQuery, headerOfQuery } from './exchange-header.ts';
export type { ExchangeHeader } from './exchange-header.ts';
export { ExchangeServer } from './exchange-server.ts';
export type {
  ExchangeCarrier,
  ExchangeEnd,
  ExchangeServerOptions,
  ExchangeUpload,
  ServerOutput,
} from './exchange-server.ts';
export type { FrameSource } from './frame-source.ts';
export { exchangeLimits } from './limits.ts';
export { decodeTextBody, encodeTextBody, maxTokenBytes, textBytes } from './text-body.ts';
