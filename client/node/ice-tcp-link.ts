/** ICE-TCP, the active side (RFC 6544): one connection to one candidate, datagrams in RFC 4571 frames. */
import { FrameDecoder, encodeFrame, fitsFrame } from '../../tunnel-protocol/index.ts';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import { fitsBacklog } from './backlog.ts';
import type { SocketTarget } from './edge-socket.ts';
import type { PathLink, PathLinkEvents } from './path-link.ts';
import { StreamConnection } from './stream-connection.ts';

export class IceTcpLink implements PathLink {
  readonly #connection: StreamConnection;
  readonly #decoder = new FrameDecoder();
  readonly #events: PathLinkEvents;
  #open = false;

  constructor(candidate: TransportAddress, proxy: SocketTarget['proxy'], events: PathLinkEvents) {
    this.#events = events;
    this.#connection = new StreamConnection(
      { host: candidate.address, port: candidate.port, tls: null, ...(proxy === undefined ? {} : { proxy }) },
      {
        opened: () => {
          this.#open = true;
          events.opened();
        },
        data: (chunk) => {
          this.#receive(chunk);
        },
        failed: (reason) => {
          this.#open = false;
          events.failed(reason);
        },
      },
    );
  }

  send(datagram: Uint8Array): boolean {
    if (!this.#open || !fitsFrame(datagram)) return false;
    if (!fitsBacklog(datagram, this.#connection.bufferedBytes)) return false;
    this.#connection.write(encodeFrame(datagram));
    return true;
  }

  close(): void {
    this.#open = false;
    this.#connection.close();
  }

  #receive(chunk: Uint8Array): void {
    const decoder = this.#decoder;
    decoder.push(chunk);
    for (let frame = decoder.next(); frame !== null; frame = decoder.next()) {
      this.#events.datagram(frame);
      // A datagram may have led the owner to close.
      if (!this.#open) return;
    }
    if (decoder.error === null) return;
    this.close();
    this.#events.failed(decoder.error);
  }
}
