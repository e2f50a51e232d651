/** Events of a request that wait until it is known who takes them. */
import type { ExchangeEvents } from './engine/index.ts';

/** Of a body that waits meanwhile. */
const maxWaitingBytes = 262_144;

/**
 * `taker` gives the one that takes the request, and `refuse` answers it where that fails or too much comes meanwhile.
 */
export function deferred(taker: Promise<() => ExchangeEvents>, refuse: (error: unknown) => void): ExchangeEvents {
  const waiting: { readonly bytes: Uint8Array; readonly isLast: boolean }[] = [];
  let waitingBytes = 0;
  let events: ExchangeEvents | null = null;
  let over = false;
  const fail = (error: unknown): void => {
    if (over) return;
    over = true;
    refuse(error);
  };
  taker
    .then((take) => {
      // A request that nobody waits for is given to nobody.
      if (over) return;
      events = take();
      for (const { bytes, isLast } of waiting.splice(0)) events.data(bytes, isLast);
    })
    .catch(fail);
  return {
    data: (bytes, isLast) => {
      if (events !== null) {
        events.data(bytes, isLast);
        return;
      }
      if (over) return;
      waitingBytes += bytes.length;
      if (waitingBytes > maxWaitingBytes) fail(null);
      // They are borrowed.
      else waiting.push({ bytes: bytes.slice(), isLast });
    },
    drain: () => events?.drain(),
    aborted: () => {
      over = true;
      events?.aborted();
    },
  };
}
