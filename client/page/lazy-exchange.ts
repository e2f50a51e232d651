/** The HTTP carriers of the control channel are loaded beside the join: where a WebSocket opens, nobody waits for them. */
import type { ControlConnection, ControlConnectionEvents, OpenExchange } from '../control/index.ts';
import { asClientError } from '../errors.ts';

type Carrier = typeof import('../control/exchange-connection.ts');

let loading: Promise<Carrier> | null = null;

/** Begins to load them. What goes wrong is told by the connections that need them. */
export function loadExchanges(): Promise<Carrier> {
  loading ??= import('../control/exchange-connection.ts').catch((error: unknown) => {
    // The next connection tries again.
    loading = null;
    throw error;
  });
  return loading;
}

export const openLazily: OpenExchange = (options, events) =>
  new LazyConnection({ ...options, simple: isOfOtherOrigin(options) }, events);

function isOfOtherOrigin({ carrier, url }: Parameters<OpenExchange>[0]): boolean {
  return carrier === 'long-poll' && new URL(url).origin !== location.origin;
}

class LazyConnection implements ControlConnection {
  readonly rung: ControlConnection['rung'];
  #connection: ControlConnection | null = null;
  #closed = false;

  constructor(options: Parameters<OpenExchange>[0], events: ControlConnectionEvents) {
    this.rung = options.carrier;
    loadExchanges().then(
      ({ openExchange }) => {
        if (!this.#closed) this.#connection = openExchange(options, events);
      },
      (error: unknown) => {
        if (this.#closed) return;
        this.#closed = true;
        events.closed({ wire: 1006, reason: '', error: asClientError(error, 'edge-unreachable') });
      },
    );
  }

  get open(): boolean {
    return this.#connection?.open ?? false;
  }

  get deliveryRate(): number | null {
    return this.#connection?.deliveryRate ?? null;
  }

  get suspicion(): ControlConnection['suspicion'] {
    return this.#connection?.suspicion ?? null;
  }

  agreeOnCredits(): void {
    this.#connection?.agreeOnCredits();
  }

  sendControl(frame: Uint8Array): void {
    this.#connection?.sendControl(frame);
  }

  sendDatagram(...datagram: Parameters<ControlConnection['sendDatagram']>): boolean {
    return this.#connection?.sendDatagram(...datagram) ?? false;
  }

  close(wire: number, reason: string): void {
    this.#closed = true;
    this.#connection?.close(wire, reason);
  }
}
