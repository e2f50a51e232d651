/** Tunnelled clients with synthetic audio, in a process of their own: what they live through is counted here. */
import { MediaStreamTrack, RtpHeader, RtpPacket } from 'werift';
import { join, type NodeCall } from '../../client/index.ts';
import { serveCommands } from '../harness/worker-process.ts';

export interface JoinOrder {
  readonly urls: readonly string[];
  readonly rooms: readonly string[];
  readonly rung: 'websocket' | 'long-poll';
  /** Of audio in a packet. */
  readonly packetMs: number;
}

/** A time without a control channel; Unix ms, so that several processes speak of the same moment. */
export interface Outage {
  readonly lostAt: number;
  readonly backAt: number;
}

/** Since `begin`. */
export interface LoadReport {
  readonly clients: number;
  readonly open: number;
  readonly away: number;
  readonly outages: readonly Outage[];
  /** The longest time between two packets of a track, of each track that brought any. */
  readonly gapsMs: readonly number[];
  readonly sent: number;
  readonly answered: number;
  readonly refused: number;
  /** Words of others that came after a later one. */
  readonly outOfOrder: number;
  /** Last words of others that are not known here; counted when nobody speaks any more. */
  readonly unheard: number;
  readonly ended: readonly string[];
}

const statusMs = 1000;
const samplesPerMs = 48;

class Client {
  readonly call: NodeCall;
  outages: Outage[] = [];
  lostAt: number | null = null;
  sent = 0;
  answered = 0;
  refused = 0;
  outOfOrder = 0;
  said = 0;
  readonly #packetMs: number;
  readonly #gaps = new Map<MediaStreamTrack, { at: number; longest: number }>();
  readonly #lastWords = new Map<string, number>();
  readonly #track = new MediaStreamTrack({ kind: 'audio' });
  #sequence = 0;

  constructor(call: NodeCall, packetMs: number) {
    this.call = call;
    this.#packetMs = packetMs;
    call.on('control', ({ connected }) => {
      if (!connected) this.lostAt ??= Date.now();
      else if (this.lostAt !== null) {
        this.outages.push({ lostAt: this.lostAt, backAt: Date.now() });
        this.lostAt = null;
      }
    });
    call.on('closed', ({ error }) => ended.push(error?.code ?? 'left'));
    call.on('participant-updated', ({ id, status }) => {
      const word = wordOf(status);
      if (word === null) return;
      if (word < (this.#lastWords.get(id) ?? 0)) this.outOfOrder++;
      this.#lastWords.set(id, word);
    });
    const listen = ({ track }: { readonly track: MediaStreamTrack }): void => {
      if (track.kind !== 'audio') return;
      track.onReceiveRtp.subscribe(() => {
        const now = performance.now();
        const gap = this.#gaps.get(track);
        if (gap === undefined) this.#gaps.set(track, { at: now, longest: 0 });
        else {
          gap.longest = Math.max(gap.longest, now - gap.at);
          gap.at = now;
        }
      });
    };
    call.tracks.forEach(listen);
    call.on('track', listen);
  }

  get gapsMs(): readonly number[] {
    const now = performance.now();
    // One that is still silent counts as long as it has been.
    return [...this.#gaps.values()].map(({ at, longest }) => Math.max(longest, now - at));
  }

  async publish(): Promise<void> {
    await this.call.publish(this.#track);
  }

  begin(): void {
    this.outages = [];
    this.#gaps.clear();
    this.sent = this.answered = this.refused = this.outOfOrder = 0;
  }

  sendAudio(): void {
    const header = new RtpHeader({
      payloadType: 111,
      sequenceNumber: this.#sequence & 0xffff,
      timestamp: (this.#sequence * samplesPerMs * this.#packetMs) >>> 0,
    });
    this.#sequence++;
    this.#track.onReceiveRtp.execute(new RtpPacket(header, Buffer.alloc(80, 1)));
  }

  say(): void {
    this.sent++;
    this.call.status({ word: ++this.said }).then(
      () => this.answered++,
      () => this.refused++,
    );
  }

  /** Of the others in the room. */
  unheard(speakers: ReadonlyMap<string, Client>): number {
    return this.call.participants.filter(({ id, status }) => {
      const speaker = speakers.get(id);
      return speaker !== undefined && speaker.said > 0 && wordOf(status) !== speaker.said;
    }).length;
  }
}

function wordOf(status: Readonly<Record<string, unknown>>): number | null {
  const { word } = status;
  return typeof word === 'number' ? word : null;
}

const clients: Client[] = [];
const ended: string[] = [];
let speaking = false;

serveCommands({
  async join({ urls, rooms, rung, packetMs }: JoinOrder): Promise<number> {
    for (const [i, room] of rooms.entries()) {
      const url = urls[i % urls.length] ?? '';
      const options = { room, insecure: true, rungs: [rung], timeoutMs: 60_000, telemetry: false };
      const client = new Client(await join(url, options), packetMs);
      await client.publish();
      clients.push(client);
    }
    setInterval(() => {
      for (const client of clients) if (!client.call.closed) client.sendAudio();
    }, packetMs);
    // Not all at one moment: the words of a room would become one.
    for (const client of clients) {
      setTimeout(() => {
        setInterval(() => {
          if (speaking && !client.call.closed) client.say();
        }, statusMs);
      }, Math.random() * statusMs);
    }
    return clients.length;
  },
  begin(): void {
    for (const client of clients) client.begin();
    speaking = true;
  },
  /** Says no more: what is under way comes to its end. */
  hush(): void {
    speaking = false;
  },
  report(): LoadReport {
    const sum = (of: (client: Client) => number): number => clients.reduce((total, client) => total + of(client), 0);
    const open = clients.filter(({ call }) => !call.closed);
    const speakers = new Map(open.map((client) => [client.call.self.id, client]));
    return {
      clients: clients.length,
      open: open.length,
      away: open.filter(({ lostAt }) => lostAt !== null).length,
      outages: clients.flatMap(({ outages }) => outages),
      gapsMs: open.flatMap(({ gapsMs }) => gapsMs),
      sent: sum(({ sent }) => sent),
      answered: sum(({ answered }) => answered),
      refused: sum(({ refused }) => refused),
      outOfOrder: sum(({ outOfOrder }) => outOfOrder),
      unheard: open.reduce((total, client) => total + client.unheard(speakers), 0),
      ended,
    };
  },
  async leave(): Promise<void> {
    await Promise.all(clients.map(({ call }) => call.leave()));
  },
});
