/** What tests of recordings have in common: the API, the files, and ffprobe as somebody else's reader. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { Agent, request } from 'undici';
import type { TestEdge } from './edge.ts';

/** Why a test cannot run here; false when it can. Never a reason where CI is to run it. */
export const ffprobeMissing: string | false =
  existsSync('/usr/bin/ffprobe') || process.env['CI'] === 'true' ? false : 'ffmpeg is not installed';

export interface ProbedPacket {
  readonly stream_index: number;
  readonly pts_time: string;
  readonly flags: string;
}

export interface Probed {
  readonly format: { readonly format_name: string; readonly duration?: string };
  readonly streams: readonly {
    readonly index: number;
    readonly codec_type: 'audio' | 'video';
    readonly codec_name: string;
    readonly width?: number;
    readonly height?: number;
  }[];
  readonly packets: readonly ProbedPacket[];
  /** What the reader complained about. */
  readonly complaints: string;
}

/** Reads a whole file, and decodes it. */
export async function probe(file: string): Promise<Probed> {
  const run = promisify(execFile);
  const options = { maxBuffer: 64 * 1024 * 1024 };
  const shown = await run(
    'ffprobe',
    ['-v', 'warning', '-show_format', '-show_streams', '-show_packets', '-of', 'json', file],
    options,
  );
  // In the file's own time: at a rate that is guessed, two pictures that came close to each other would be one moment.
  const asItIs = ['-fps_mode', 'passthrough', '-enc_time_base', '1:1000'];
  const decoded = await run('ffmpeg', ['-v', 'warning', '-i', file, ...asItIs, '-f', 'null', '-'], options);
  return { ...(JSON.parse(shown.stdout) as Omit<Probed, 'complaints'>), complaints: shown.stderr + decoded.stderr };
}

export interface RecordingJson {
  readonly id: string;
  readonly room: string;
  readonly startedAt: string;
  readonly startedBy: string;
  readonly endedAt: string | null;
  readonly endedBy: string | null;
  readonly durationMs: number;
  readonly participants: readonly { readonly id: string; readonly name: string; readonly leftMs: number | null }[];
  readonly tracks: readonly {
    readonly source: string;
    readonly codec: string;
    readonly startMs: number;
    readonly endMs: number;
    readonly frames: number;
    readonly droppedFrames: number;
    readonly lostPackets: number;
    readonly gaps: readonly { readonly fromMs: number; readonly toMs: number; readonly cause: string }[];
    readonly sizes: readonly { readonly atMs: number; readonly width: number; readonly height: number }[];
  }[];
  readonly files: readonly {
    readonly name: string;
    readonly startMs: number;
    readonly endMs: number;
    readonly bytes: number;
    readonly tracks: readonly { readonly number: number; readonly source: string }[];
  }[];
  readonly layout: readonly { readonly atMs: number; readonly main: { readonly source: string } | null }[];
}

/** Of the only recording, or of that one. */
export async function readRecording(
  folder: string,
  id?: string,
): Promise<{ readonly json: RecordingJson; readonly folder: string }> {
  const [only = ''] = await readdir(folder);
  const own = path.join(folder, id ?? only);
  const json = JSON.parse(await readFile(path.join(own, 'recording.json'), 'utf8')) as RecordingJson;
  return { json, folder: own };
}

export interface ApiReply {
  readonly status: number;
  readonly body: unknown;
}

/** Requests with an administrator's token for this room. */
export async function adminApi(
  edge: { readonly url: string; readonly tokens: TestEdge['tokens'] },
  room: string,
): Promise<(method: string, route: string) => Promise<ApiReply>> {
  const grant = { identity: 'admin', room, name: null, can: ['admin'] as const, hidden: false };
  const token = await edge.tokens.issueJoinToken(grant, 600);
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });
  return async (method, route) => {
    const headers = { authorization: `Bearer ${token}` };
    const { statusCode, body } = await request(edge.url + route, {
      method: method as 'GET' | 'POST' | 'DELETE',
      headers,
      dispatcher,
      reset: true,
    });
    const text = await body.text();
    return { status: statusCode, body: text === '' ? null : (JSON.parse(text) as unknown) };
  };
}

/** Until it is so, which may take as long as a busy machine needs. A file that is not there yet is not so. */
export async function until(isSo: () => Promise<boolean>, patienceMs = 40_000): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const so = await isSo().catch((error: unknown) => {
      if (performance.now() > deadline) throw error;
      return false;
    });
    if (so) return;
    if (performance.now() > deadline) throw new Error('it did not become so');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
