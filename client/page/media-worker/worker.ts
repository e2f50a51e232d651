/** The entry of the media worker, which the page starts from a Blob. */
import { MediaEngine } from './media-engine.ts';
import type { FromWorker, ToWorker } from './messages.ts';

/** As much of `DedicatedWorkerGlobalScope` as is used: TypeScript knows it only instead of the DOM. */
interface Scope {
  postMessage(message: FromWorker, transfer: Transferable[]): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  close(): void;
}

const scope = self as unknown as Scope;
const engine = new MediaEngine((message, transfer = []) => {
  scope.postMessage(message, transfer);
});

scope.onmessage = ({ data }) => {
  engine.handle(data);
  // The last datagrams leave with the task that made them.
  if (data.type !== 'close') return;
  setTimeout(() => {
    scope.close();
  }, 0);
};
