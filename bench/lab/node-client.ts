/** The Node client as a client under test. */
import { fileURLToPath } from 'node:url';
import { controlWorker, type WorkerProcess } from '../harness/worker-process.ts';
import type { ClientUnderTest } from './client-under-test.ts';
import type { Intermediary } from './intermediary.ts';
import type { Namespace } from './namespaces.ts';
import type { ParticipantOptions, ParticipantReport } from './participant.ts';

const module = fileURLToPath(new URL('./participant.js', import.meta.url));

export class NodeParticipant implements ClientUnderTest {
  readonly #worker: WorkerProcess;
  readonly #url: string;
  readonly #name: string;
  readonly #ca: string | undefined;

  constructor(namespace: Namespace, url: string, name: string, intermediary: Intermediary | null = null) {
    const { proxy, ca } = intermediary ?? {};
    this.#worker = controlWorker(namespace.fork(module, proxy === undefined ? {} : { https_proxy: proxyUrl(proxy) }));
    this.#ca = ca;
    this.#url = url;
    this.#name = name;
  }

  async join(room: string, timeoutMs: number): Promise<void> {
    const options: ParticipantOptions = {
      url: this.#url,
      room,
      name: this.#name,
      timeoutMs,
      ...(this.#ca === undefined ? {} : { ca: this.#ca }),
    };
    await this.#worker.call('join', options, timeoutMs + 5_000);
  }

  async report(): ReturnType<ClientUnderTest['report']> {
    const { rung, joinMs, audioPackets, videoPackets, lost, gapMs, attempts } = (await this.#worker.call(
      'report',
    )) as ParticipantReport;
    const packets = audioPackets + videoPackets;
    return { rung, joinMs, video: videoPackets, audio: audioPackets, packets, lost, gapMs, attempts };
  }

  async leave(): Promise<void> {
    await this.#worker.call('leave');
  }

  async close(): Promise<void> {
    await this.#worker.stop();
  }
}

/** As the variable has it, with the account in it. */
function proxyUrl({ url, username, password }: NonNullable<Intermediary['proxy']>): string {
  const whole = new URL(url);
  if (username !== undefined) whole.username = encodeURIComponent(username);
  if (password !== undefined) whole.password = encodeURIComponent(password);
  return whole.href;
}
