/** Tunnelled clients with synthetic audio, in a process of their own: what they live through is counted here. */
import { MediaStreamTrack, RtpHeader, RtpPacket } from 'werift';
import { join, type NodeCall } from '../../client/index.ts';
import { serveCommands } from '../harness/worker-process.ts';

export interface JoinOrder {
  readonly urls: readonly string[];
  readonly rooms: readonly string[];
  readonly rung: 'websocket' | 'long-poll';
}

export interface LoadReport {
  readonly clients: number;
  readonly open: number;
  /** Ms without a control channel, of each time that it was lost since `begin`. */
  readonly outagesMs: readonly number[];
  /** The longest time between two audio packets since `begin`, of each client that gets any. */
  readonly gapsMs: readonly number[];
  readonly away: number;
  readonly requests: number;
  /** Requests that were never answered, or refused. */
  readonly requestsLost: number;
  readonly ended: readonly string[];
}

const packetMs = 20;
const statusMs = 1000;
const samplesPerPacket = 960;

class Client {
  readonly call: NodeCall;
  outagesMs: number[] = [];
  gapMs = 0;
  requests = 0;
  requestsLost = 0;
  lostAt: number | null = null;
  #heardAt: number | null = null;
  readonly #track = new MediaStreamTrack({ kind: 'audio' });
  #sequence = 0;

  constructor(call: NodeCall) {
    this.call = call;
    call.on('control', ({ connected }) => {
      const now = performance.now();
      if (!connected) this.lostAt ??= now;
      else if (this.lostAt !== null) {
        this.outagesMs.push(now - this.lostAt);
        this.lostAt = null;
      }
    });
    call.on('closed', ({ error }) => ended.push(error?.code ?? 'left'));
    const listen = ({ track }: { readonly track: MediaStreamTrack }): void => {
      track.onReceiveRtp.subscribe(() => {
        const now = performance.now();
        if (this.#heardAt !== null) this.gapMs = Math.max(this.gapMs, now - this.#heardAt);
        this.#heardAt = now;
      });
    };
    call.tracks.forEach(listen);
    call.on('track', listen);
  }

  async publish(): Promise<void> {
    await this.call.publish(this.#track);
  }

  begin(): void {
    this.outagesMs = [];
    this.gapMs = 0;
    this.#heardAt = null;
    this.requests = 0;
    this.requestsLost = 0;
  }

  sendAudio(): void {
    const header = new RtpHeader({
      payloadType: 111,
      sequenceNumber: this.#sequence & 0xffff,
      timestamp: (this.#sequence * samplesPerPacket) >>> 0,
    });
    this.#sequence++;
    this.#track.onReceiveRtp.execute(new RtpPacket(header, Buffer.alloc(80, 1)));
  }

  say(n: number): void {
    this.requests++;
    this.call.status({ n }).catch(() => {
      this.requestsLost++;
    });
  }
}

const clients: Client[] = [];
const ended: string[] = [];
let said = 0;

setInterval(() => {
  for (const client of clients) if (!client.call.closed) client.sendAudio();
}, packetMs);
setInterval(() => {
  said++;
  for (const client of clients) if (!client.call.closed) client.say(said);
}, statusMs);

serveCommands({
  async join({ urls, rooms, rung }: JoinOrder): Promise<number> {
    for (const [i, room] of rooms.entries()) {
      const call = await join(urls[i % urls.length] ?? '', { room, insecure: true, rungs: [rung], timeoutMs: 60_000 });
      const client = new Client(call);
      await client.publish();
      clients.push(client);
    }
    return clients.length;
  },
  begin(): void {
    for (const client of clients) client.begin();
  },
  report(): LoadReport {
    const open = clients.filter(({ call }) => !call.closed);
    return {
      clients: clients.length,
      open: open.length,
      outagesMs: clients.flatMap(({ outagesMs }) => outagesMs),
      gapsMs: clients.map(({ gapMs }) => gapMs).filter((gap) => gap > 0),
      away: open.filter(({ lostAt }) => lostAt !== null).length,
      requests: clients.reduce((sum, { requests }) => sum + requests, 0),
      requestsLost: clients.reduce((sum, { requestsLost }) => sum + requestsLost, 0),
      ended,
    };
  },
  async leave(): Promise<void> {
    await Promise.all(clients.map(({ call }) => call.leave()));
  },
});
