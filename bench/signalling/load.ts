/** Participants that have nothing but their signalling, in rooms of four: they join, mute, say how they are, and leave. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { serveCommands } from '../harness/worker-process.ts';
import { TunnelClient } from '../tunnel/tunnel-client.ts';

export interface OpenOrder {
  readonly url: string;
  readonly sessions: number;
  readonly roomSize: number;
}

export interface TalkOrder {
  readonly seconds: number;
  /** Of all sessions together. */
  readonly requestsPerSecond: number;
}

export interface TalkReport {
  readonly sent: number;
  readonly answered: number;
  readonly refused: number;
  /** From a request to its reply; ascending, every tenth of them. */
  readonly delaysMs: readonly number[];
}

export interface LivesOrder {
  readonly url: string;
  readonly lives: number;
}

const lifeRoomSize = 4;
const atOnce = 8;
const tickMs = 10;
/** Replies to the last requests. */
const patienceMs = 3000;
/** What a call asks for from its beginning to its end, in the capacity plan; `POST /v1/sessions`, join and leave are three of them. */
export const requestsPerLife = 20;
/** A browser's, because a source can be muted only where it was negotiated; its media never comes. */
const offer = readFileSync(new URL('../../../sfu/testdata/chromium-156-offer.sdp', import.meta.url), 'utf8');

class Participant {
  readonly #tunnel: TunnelClient;
  readonly #waiting: Map<number, (isAnswered: boolean) => void>;
  #nextId = 1;

  private constructor(tunnel: TunnelClient, waiting: Map<number, (isAnswered: boolean) => void>) {
    this.#tunnel = tunnel;
    this.#waiting = waiting;
  }

  static async open(url: string, room: string): Promise<Participant> {
    const waiting = new Map<number, (isAnswered: boolean) => void>();
    const onMessage = (text: string): void => {
      if (!text.startsWith('{"type":"reply"')) return;
      const { id, ok } = JSON.parse(text) as { id: number; ok: boolean };
      waiting.get(id)?.(ok);
      waiting.delete(id);
    };
    return new Participant(await TunnelClient.open({ url, room, onMessage }), waiting);
  }

  ask(body: object): Promise<boolean> {
    return new Promise((resolve) => {
      this.send(body, resolve);
    });
  }

  send(body: object, answered: (isAnswered: boolean) => void): void {
    const id = this.#nextId++;
    this.#waiting.set(id, answered);
    this.#tunnel.request(JSON.stringify({ ...body, id }));
  }

  /** In turn: muted, a word, not muted, a word. */
  talk(turn: number, answered: (isAnswered: boolean) => void): void {
    if (turn % 2 === 0) this.send({ type: 'mute', source: 'microphone', muted: turn % 4 === 0 }, answered);
    else this.send({ type: 'status', status: { hand: turn % 4 === 1 } }, answered);
  }

  async enter(): Promise<void> {
    const done = [
      await this.ask({ type: 'join' }),
      await this.ask({ type: 'offer', sdp: offer }),
      await this.ask({ type: 'publish', source: 'microphone', muted: false }),
    ];
    if (done.includes(false)) throw new Error('the edge refused a participant');
  }

  tick(): void {
    this.#tunnel.tick();
  }

  end(): void {
    this.#tunnel.destroy();
  }
}

const participants: Participant[] = [];
const prefix = randomBytes(4).toString('hex');
let rooms = 0;

setInterval(() => {
  for (const participant of participants) participant.tick();
}, 500);

serveCommands({
  async open({ url, sessions, roomSize }: OpenOrder): Promise<void> {
    let next = 0;
    const open = async (): Promise<void> => {
      while (next < sessions) {
        const room = `${prefix}-${String(roomSize)}-${String(Math.floor(next++ / roomSize))}`;
        const participant = await Participant.open(url, room);
        await participant.enter();
        participants.push(participant);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, open));
  },
  /** Without a word: for the next phase, which has others. */
  end(): void {
    for (const participant of participants.splice(0)) participant.end();
  },
  async talk({ seconds, requestsPerSecond }: TalkOrder): Promise<TalkReport> {
    const delaysMs: number[] = [];
    let [sent, answered, refused, turn] = [0, 0, 0, 0];
    const startedAt = performance.now();
    const send = (): void => {
      const sentAt = performance.now();
      participants[turn % participants.length]?.talk(Math.floor(turn / participants.length), (isAnswered) => {
        if (isAnswered) answered++;
        else refused++;
        if ((answered + refused) % 10 === 0) delaysMs.push(performance.now() - sentAt);
      });
      turn++;
      sent++;
    };
    while (performance.now() - startedAt < 1000 * seconds) {
      const due = (Math.min(1000 * seconds, performance.now() - startedAt) / 1000) * requestsPerSecond;
      while (sent < due) send();
      await new Promise((resolve) => setTimeout(resolve, tickMs));
    }
    const until = performance.now() + patienceMs;
    while (answered + refused < sent && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, tickMs));
    }
    delaysMs.sort((a, b) => a - b);
    return { sent, answered, refused, delaysMs };
  },
  /** Whole calls, a few at a time, each over connections of its own. Returns how many of their requests were answered. */
  async live({ url, lives }: LivesOrder): Promise<number> {
    let next = 0;
    let answered = 0;
    const live = async (): Promise<void> => {
      while (next++ < lives) {
        const participant = await Participant.open(url, `${prefix}-life-${String(Math.floor(rooms++ / lifeRoomSize))}`);
        await participant.enter();
        // The session, joining, the offer, publishing and leaving are five.
        for (let turn = 0; turn < requestsPerLife - 5; turn++) {
          await new Promise<void>((resolve) => {
            participant.talk(turn, () => {
              resolve();
            });
          });
        }
        if (await participant.ask({ type: 'leave' })) answered += requestsPerLife;
        participant.end();
      }
    };
    await Promise.all(Array.from({ length: atOnce }, live));
    return answered;
  },
});
