/** Who knows which SFU nodes there are, and which of them holds a room. */
import { createHash } from 'node:crypto';

export interface NodeAddress {
  readonly id: string;
  readonly host: string;
  /** Where it takes trunks. */
  readonly port: number;
  /** False where the operator named a place, and whoever proves to be of the cluster may answer there. */
  readonly isNamed: boolean;
}

export interface NodeLocator {
  /** The nodes that live, as far as is known just now. */
  nodes(): readonly NodeAddress[];
  /** The node that holds the room; a room that nobody holds is placed. Rejects with UpstreamUnavailable. */
  place(room: string): Promise<NodeAddress>;
  /** The node that holds the room, or null. Rejects with UpstreamUnavailable. */
  find(room: string): Promise<NodeAddress | null>;
  /** A session of the room was opened there; null: the node that was named does not hold it. */
  placed(room: string, node: NodeAddress | null): void;
  /** Nothing listens any more where the node was: it has died, and was not merely out of reach. */
  died(node: NodeAddress): void;
}

/** How the ufrags of a node's agents begin, so that a connectivity check tells which node it is for. */
export function ufragPrefixOf(nodeId: string): string {
  // base64 has the 64 characters that a ufrag may be made of (RFC 8839 section 5.4).
  return createHash('sha256').update(nodeId).digest('base64').slice(0, 4);
}
