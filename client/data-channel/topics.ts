/** How the options of `sendData` name a channel: one for each topic, addressee and reliability. */
import { dataLimits, maxDataNameBytes } from '../../tunnel-protocol/index.ts';
import type { DataChannelParameters, DataReliability } from '../../tunnel-protocol/index.ts';
import type { SendDataOptions } from '../call.ts';
import { ClientError } from '../errors.ts';

/** The label is the topic, the protocol the addressee's id. Throws ClientError `bad-option`. */
export function channelOf(options: SendDataOptions): DataChannelParameters {
  const { topic = '', to = '', ordered = true, maxRetransmits, maxLifetimeMs } = options;
  if (new TextEncoder().encode(topic).length > maxDataNameBytes) throw bad('topic is too long');
  if (new TextEncoder().encode(to).length > maxDataNameBytes) throw bad('to is not the id of a participant');
  if (maxRetransmits !== undefined && maxLifetimeMs !== undefined) {
    throw bad('maxRetransmits and maxLifetimeMs exclude each other');
  }
  return { label: topic, protocol: to, ordered, reliability: reliabilityOf(maxRetransmits, maxLifetimeMs) };
}

export function channelKey({ label, protocol, ordered, reliability }: DataChannelParameters): string {
  return JSON.stringify([label, protocol, ordered, reliability]);
}

/** Throws ClientError `data-too-large`. */
export function checkSize(data: string | Uint8Array): void {
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data).length : data.length;
  if (bytes > dataLimits.maxMessageBytes) throw new ClientError('data-too-large', { detail: `${String(bytes)} bytes` });
}

function reliabilityOf(maxRetransmits: number | undefined, maxLifetimeMs: number | undefined): DataReliability {
  if (maxRetransmits !== undefined) return { kind: 'retransmits', limit: checked('maxRetransmits', maxRetransmits) };
  if (maxLifetimeMs !== undefined) return { kind: 'lifetime', limit: checked('maxLifetimeMs', maxLifetimeMs) };
  return { kind: 'reliable' };
}

/** What RTCDataChannel takes as well. */
function checked(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= 65_535) return value;
  throw bad(`${name} must be a whole number from 0 to 65535`);
}

function bad(detail: string): ClientError {
  return new ClientError('bad-option', { detail });
}
