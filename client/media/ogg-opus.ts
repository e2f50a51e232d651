/** Ogg files of Opus (RFC 7845): a reader of whole files, and a writer that makes one page after another. */
import { FileFault } from './file-fault.ts';
import { encodeOggPage, oggFlag, parseOggPage } from './ogg-page.ts';
import { opusSamples } from './opus-packet.ts';

export interface OpusPacket {
  /** A view of the file, unless the packet spans pages. */
  readonly data: Uint8Array;
  /** At 48 kHz. */
  readonly samples: number;
}

export interface OggOpus {
  readonly channels: number;
  /** Samples at 48 kHz that a decoder throws away at the beginning. */
  readonly preSkip: number;
  /** At least one. */
  readonly packets: readonly OpusPacket[];
  /** Of all packets. */
  readonly durationMs: number;
}

const maxPacketBytes = 65_536;

/** Reads the first Opus stream of a file. */
export function parseOggOpus(file: Uint8Array): OggOpus | FileFault {
  if (file.length === 0) return new FileFault('it is empty');
  const packets = readPackets(file);
  if (packets instanceof FileFault) return packets;
  const [head, tags, ...audio] = packets;
  if (head === undefined || !beginsWith(head, 'OpusHead') || head.length < 19) {
    return new FileFault('it is no Ogg file of Opus: its first packet is not "OpusHead"');
  }
  const [version, channels] = [head[8] as number, head[9] as number];
  if (version >>> 4 !== 0) return new FileFault(`its Opus header has the unknown version ${String(version)}`);
  if (channels !== 1 && channels !== 2)
    return new FileFault(`it has ${String(channels)} channels; only 1 and 2 can be used`);
  if (tags === undefined || !beginsWith(tags, 'OpusTags')) return new FileFault('its second packet is not "OpusTags"');
  const opus: OpusPacket[] = [];
  let samplesInAll = 0;
  for (const [index, data] of audio.entries()) {
    const samples = opusSamples(data);
    if (samples === 0) return new FileFault(`packet ${String(index)} is not an Opus packet`);
    samplesInAll += samples;
    opus.push({ data, samples });
  }
  if (opus.length === 0) return new FileFault('it holds no audio');
  const preSkip = (head[10] as number) | ((head[11] as number) << 8);
  return { channels, preSkip, packets: opus, durationMs: samplesInAll / 48 };
}

/** The packets of the first page's stream. Pages of other streams are skipped. */
function readPackets(file: Uint8Array): Uint8Array[] | FileFault {
  const packets: Uint8Array[] = [];
  let serial: number | null = null;
  /** Parts of a packet that goes on on the next page; null when there is none. */
  let parts: Uint8Array[] | null = null;
  let partBytes = 0;
  for (let at = 0; at < file.length;) {
    const parsed = parseOggPage(file, at);
    if (parsed instanceof FileFault) return parsed;
    const { page, length } = parsed;
    const where = `the page at byte ${String(at)}`;
    at += length;
    serial ??= page.serial;
    if (page.serial !== serial) continue;
    if (((page.flags & oggFlag.continued) !== 0) !== (parts !== null)) {
      return new FileFault(`a packet does not go on where it should, on ${where}`);
    }
    let start = 0;
    let end = 0;
    for (const value of page.lacing) {
      end += value;
      if (partBytes + end - start > maxPacketBytes) return new FileFault(`a packet is too long, on ${where}`);
      if (value === 255) continue;
      const rest = page.body.subarray(start, end);
      packets.push(parts === null ? rest : Buffer.concat([...parts, rest]));
      parts = null;
      partBytes = 0;
      start = end;
    }
    if (page.lacing.at(-1) === 255) {
      (parts ??= []).push(page.body.subarray(start));
      partBytes += page.body.length - start;
    }
  }
  return parts === null ? packets : new FileFault('its last packet is cut off');
}

function beginsWith(packet: Uint8Array, magic: string): boolean {
  return String.fromCharCode(...packet.subarray(0, magic.length)) === magic;
}

/** Collects packets into pages of about a second. */
export class OggOpusWriter {
  readonly #serial: number;
  readonly #lacing: number[] = [];
  readonly #body: Uint8Array[] = [];
  #sequence = 0;
  #granule = 0n;
  #pageSamples = 0;

  constructor(serial: number) {
    this.#serial = serial >>> 0;
  }

  /** The pages with `OpusHead` and `OpusTags`, which come first. */
  header(channels: number): Uint8Array {
    const head = new Uint8Array(19);
    const view = new DataView(head.buffer);
    head.set(utf8.encode('OpusHead'));
    view.setUint8(8, 1);
    view.setUint8(9, channels);
    view.setUint32(12, 48_000, true);
    const vendor = utf8.encode('sallyport');
    const tags = new Uint8Array(8 + 4 + vendor.length + 4);
    tags.set(utf8.encode('OpusTags'));
    new DataView(tags.buffer).setUint32(8, vendor.length, true);
    tags.set(vendor, 12);
    return Buffer.concat([this.#headerPage(head, oggFlag.first), this.#headerPage(tags, 0)]);
  }

  /**
   * Adds one packet. `skippedSamples` is what was lost before it: the time goes on, so that players keep in step.
   * Returns a page to write when one is full.
   */
  add(packet: Uint8Array, skippedSamples = 0): Uint8Array | null {
    const lacing = Math.floor(packet.length / 255) + 1;
    const full = this.#pageSamples >= 48_000 || this.#lacing.length + lacing > 255 || skippedSamples > 0;
    const page = full && this.#lacing.length > 0 ? this.#takePage(0) : null;
    for (let rest = packet.length; ; rest -= 255) {
      this.#lacing.push(Math.min(rest, 255));
      if (rest < 255) break;
    }
    this.#body.push(packet);
    const samples = opusSamples(packet);
    this.#granule += BigInt(samples + skippedSamples);
    this.#pageSamples += samples;
    return page;
  }

  /** The last page. */
  end(): Uint8Array {
    return this.#takePage(oggFlag.last);
  }

  #takePage(flags: number): Uint8Array {
    const page = encodeOggPage({
      flags,
      granule: this.#granule,
      serial: this.#serial,
      sequence: this.#sequence++,
      lacing: Uint8Array.from(this.#lacing),
      body: Buffer.concat(this.#body),
    });
    this.#lacing.length = 0;
    this.#body.length = 0;
    this.#pageSamples = 0;
    return page;
  }

  #headerPage(body: Uint8Array, flags: number): Uint8Array {
    const lacing = Uint8Array.of(body.length);
    return encodeOggPage({ flags, granule: 0n, serial: this.#serial, sequence: this.#sequence++, lacing, body });
  }
}

const utf8 = new TextEncoder();
