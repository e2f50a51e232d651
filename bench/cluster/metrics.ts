/** What the processes of a cluster say of themselves on their admin ports, and what an edge answers. */
import { request } from 'node:https';

interface Measured {
  metrics(): Promise<string>;
}

export async function sessionsAt(process: Measured): Promise<number> {
  return total(await process.metrics(), /^sallyport_sessions\{[^}]*\} (\d+)$/gm);
}

/** How often the SFU counted this event. */
export function counted(metrics: string, event: string): number {
  return total(metrics, new RegExp(`^sallyport_sfu_events_total\\{event="${event}"\\} (\\d+)$`, 'gm'));
}

/** Of the event loops of these processes since they were last asked, the one that is held up the most. */
export async function longestLoopDelayMs(processes: readonly Measured[]): Promise<number> {
  const pattern = /^sallyport_event_loop_delay_seconds\{quantile="0.99"\} (\S+)$/gm;
  const each = await Promise.all(processes.map(async (process) => total(await process.metrics(), pattern)));
  return 1000 * Math.max(...each);
}

export async function opensRoom(url: string, room: string): Promise<boolean> {
  return new Promise((resolve) => {
    const body = JSON.stringify({ room, client: { kind: 'bench', version: '1' } });
    const post = request(
      `${url}/v1/sessions`,
      { method: 'POST', rejectUnauthorized: false, headers: { 'content-type': 'application/json' } },
      (response) => {
        response.resume();
        resolve(response.statusCode === 201);
      },
    );
    post.once('error', () => {
      resolve(false);
    });
    post.end(body);
  });
}

function total(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].reduce((sum, [, value]) => sum + Number(value), 0);
}
