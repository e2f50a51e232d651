/** A clip in memory: pictures, sound, or both, which loop together. */
import { readFile } from 'node:fs/promises';
import { ClientError } from '../errors.ts';
import { FileFault } from './file-fault.ts';
import { parseIvf } from './ivf.ts';
import type { Ivf } from './ivf.ts';
import { parseOggOpus } from './ogg-opus.ts';
import type { OggOpus } from './ogg-opus.ts';

export interface Clip {
  readonly video: Ivf | null;
  readonly audio: OggOpus | null;
}

const maxFileBytes = 512 * 1024 * 1024;
/** What one datagram takes, after RTP, SRTP and tunnel headers. */
const maxOpusPacketBytes = 1100;

/**
 * Reads at most one `.ivf` file (VP8) and one `.ogg` or `.opus` file (Opus), told apart by their content.
 * Rejects with ClientError `bad-file` or `file-unreadable`, which name the file.
 */
export async function loadClip(files: readonly string[]): Promise<Clip> {
  let video: Ivf | null = null;
  let audio: OggOpus | null = null;
  for (const file of files) {
    const bytes = await readBounded(file);
    if (beginsWith(bytes, 'OggS')) {
      if (audio !== null) throw new ClientError('bad-file', { detail: `${file}: a second file with sound` });
      audio = sound(file, parseOggOpus(bytes));
      if (audio.packets.some(({ data }) => data.length > maxOpusPacketBytes)) {
        const detail = `${file}: an Opus packet has more than ${String(maxOpusPacketBytes)} bytes; use a lower bit rate`;
        throw new ClientError('bad-file', { detail });
      }
    } else {
      if (video !== null) throw new ClientError('bad-file', { detail: `${file}: a second file with pictures` });
      video = sound(file, parseIvf(bytes));
    }
  }
  return { video, audio };
}

async function readBounded(file: string): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw new ClientError('file-unreadable', { detail: error instanceof Error ? error.message : file, cause: error });
  }
  if (bytes.length > maxFileBytes) throw new ClientError('bad-file', { detail: `${file}: more than 512 MiB` });
  return bytes;
}

function sound<T>(file: string, parsed: T | FileFault): T {
  if (parsed instanceof FileFault) throw new ClientError('bad-file', { detail: `${file}: ${parsed.message}` });
  return parsed;
}

function beginsWith(bytes: Uint8Array, magic: string): boolean {
  return String.fromCharCode(...bytes.subarray(0, magic.length)) === magic;
}
