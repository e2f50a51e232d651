/** GStreamer's webrtcbin in a process of its own, as a WHIP publisher or a WHEP player that is not ours. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Seen from dist/bench/e2e/. Debian's Python has the bindings, whatever `python3` is on the path. */
const script = join(import.meta.dirname, '../../../bench/e2e/gstreamer-peer.py');
const python = '/usr/bin/python3';
const patienceMs = 60_000;

const needs = "import gi; gi.require_version('GstWebRTC', '1.0'); gi.require_version('GstSdp', '1.0')";

/** Why tests with GStreamer cannot run here, or false. Under CI what is missing is a failure, not a skip. */
export const gstreamerMissing: string | false =
  process.env['CI'] === 'true' || spawnSync(python, ['-c', needs]).status === 0
    ? false
    : 'no GStreamer with webrtcbin and its Python bindings';

export type GstreamerEvent =
  | {
      readonly event: 'posted';
      readonly status: number;
      readonly type: string;
      readonly link: string | null;
      readonly body: string;
    }
  | { readonly event: 'patched'; readonly status: number; readonly candidates: number }
  | { readonly event: 'state'; readonly state: string }
  | { readonly event: 'decoded'; readonly kind: 'audio' | 'video'; readonly count: number }
  | { readonly event: 'deleted'; readonly status: number };

export interface GstreamerOptions {
  readonly role: 'whip' | 'whep';
  readonly url: string;
  readonly token?: string;
  /** Offers at once, and tells its candidates by PATCH. */
  readonly trickle?: boolean;
}

export class GstreamerPeer {
  readonly #child;
  readonly #events: GstreamerEvent[] = [];
  readonly #errors: string[] = [];
  #wake: () => void = () => undefined;

  constructor({ role, url, token = '', trickle = false }: GstreamerOptions) {
    this.#child = spawn(python, [script, role, url, token, trickle ? 'trickle' : 'gathered'], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.#events.push(JSON.parse(line) as GstreamerEvent);
      this.#wake();
    });
    createInterface({ input: this.#child.stderr }).on('line', (line) => this.#errors.push(line));
    this.#child.once('exit', () => {
      this.#wake();
    });
  }

  /** The first event that satisfies, of those that came and those that come. */
  async event<T extends GstreamerEvent>(wanted: (event: GstreamerEvent) => event is T): Promise<T> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const found = this.#events.find(wanted);
      if (found !== undefined) return found;
      if (performance.now() > deadline || this.#child.exitCode !== null) {
        const last = this.#events.slice(-5).map((event) => JSON.stringify(event).slice(0, 300));
        throw new Error(`GStreamer did not get there: ${[...last, ...this.#errors.slice(-5)].join('\n')}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  named<N extends GstreamerEvent['event']>(name: N): Promise<Extract<GstreamerEvent, { event: N }>> {
    return this.event((event): event is Extract<GstreamerEvent, { event: N }> => event.event === name);
  }

  async state(state: string): Promise<void> {
    await this.event((event): event is GstreamerEvent => event.event === 'state' && event.state === state);
  }

  async decoded(kind: 'audio' | 'video', least: number): Promise<void> {
    await this.event(
      (event): event is GstreamerEvent => event.event === 'decoded' && event.kind === kind && event.count >= least,
    );
  }

  /** Ends the session by DELETE; resolves with the answer's status. */
  async delete(): Promise<number> {
    this.#child.stdin.write('delete\n');
    return (await this.named('deleted')).status;
  }

  /** Ends the process, and with it DTLS. Idempotent. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    await exited;
    clearTimeout(timer);
  }
}
