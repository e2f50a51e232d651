/** What `POST /v1/doctor` answers: a room to test in, and how the edge sees whoever asked. */
import { printable } from '../control/problem.ts';
import { ClientError, asClientError } from '../errors.ts';
import type { EdgeFinding } from './types.ts';

export interface Invitation {
  readonly room: string;
  readonly token: string;
  readonly edge: EdgeFinding;
  /** SHA-256 fingerprints of the edge's own certificates. */
  readonly certificates: readonly string[];
  readonly seenAs: string | null;
  readonly via: string | null;
}

/** Throws a ClientError for anything but an invitation. */
export function readInvitation(status: number, body: unknown): Invitation {
  if (status === 429) throw new ClientError('edge-refused', { detail: 'too many tests from here; wait a minute' });
  if (status !== 201) throw new ClientError('edge-refused', { detail: `HTTP ${String(status)}` });
  try {
    const { room, token, seen, edge, certificates } = body as {
      room: unknown;
      token: unknown;
      seen: Record<string, string>;
      edge: { addresses: string[]; ports: Record<'tcp' | 'udp' | 'turnUdp', unknown> };
      certificates: unknown[];
    };
    const { tcp, udp, turnUdp } = edge.ports;
    const text = (value: string | undefined): string | null => (value ? printable(value) : null);
    return {
      room: String(room),
      token: String(token),
      edge: {
        addresses: edge.addresses.map(printable),
        ports: { tcp: Number(tcp), udp: Number(udp), turnUdp: Number(turnUdp) },
      },
      certificates: certificates.map(String),
      seenAs: text(seen['address']),
      via: text(seen['via']),
    };
  } catch (error) {
    throw asClientError(error, 'bad-answer');
  }
}
