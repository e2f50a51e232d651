/** The UDP paths: one to each candidate of the media server. */
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import { UdpSockets } from './udp-sockets.ts';

export class UdpPaths {
  /** In the order of the candidates. */
  readonly pathIds: readonly string[];
  readonly #sockets: UdpSockets;
  readonly #candidates = new Map<string, TransportAddress>();

  /** `datagram`: borrowed until the call returns. */
  constructor(candidates: readonly TransportAddress[], datagram: (pathId: string, datagram: Uint8Array) => void) {
    const pathIds = new Map<TransportAddress, string>();
    for (const [index, candidate] of candidates.entries()) {
      const pathId = `udp-${String(index)}`;
      this.#candidates.set(pathId, candidate);
      pathIds.set(candidate, pathId);
    }
    this.pathIds = [...pathIds.values()];
    this.#sockets = new UdpSockets(candidates, {
      datagram: (candidate, bytes) => {
        const pathId = pathIds.get(candidate);
        if (pathId !== undefined) datagram(pathId, bytes);
      },
    });
  }

  /** The bytes are given away. False when it went nowhere. */
  send(pathId: string, datagram: Uint8Array): boolean {
    const candidate = this.#candidates.get(pathId);
    return candidate !== undefined && this.#sockets.send(candidate, datagram);
  }

  /** Idempotent. */
  close(): void {
    this.#sockets.close();
  }
}
