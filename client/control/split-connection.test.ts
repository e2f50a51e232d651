import t from 'tap';
import {
  creditFrameBytes,
  creditType,
  encodeFrame,
  flowLimits,
  forEachFrame,
  lane,
  transportMeta,
  TunnelFlow,
} from '../../tunnel-protocol/index.ts';
import type { SendMeta } from '../../tunnel-protocol/index.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { audioConnectionLimits, SplitConnection } from './split-connection.ts';
import { TunnelConnection } from './tunnel-connection.ts';
import type { TunnelClose, TunnelSocket } from './tunnel-socket.ts';

const audioFlow = { creditLeastBytes: flowLimits.audioCreditLeastBytes };

const audioMeta: SendMeta = { ...transportMeta, lane: lane.audio, discardable: true, deadlineMs: 200 };
const videoMeta: SendMeta = { ...transportMeta, lane: lane.video };

class ScriptedSocket implements TunnelSocket {
  onopen: (() => void) | null = null;
  onmessage: ((message: Uint8Array) => void) | null = null;
  onclose: ((close: TunnelClose) => void) | null = null;
  readonly bufferedAmount = 0;
  closed = false;
  #server = new TunnelFlow({ now: 0, messageBytes: 16_384, onDrop: () => undefined, limits: audioFlow });
  #sent: Uint8Array[] = [];

  constructor() {
    this.#server.agree();
  }

  send(message: Uint8Array): void {
    this.#sent.push(message);
  }

  close(): void {
    this.closed = true;
  }

  /** The server takes what was sent, and credits it. Returns the first bytes of the frames. */
  take(now: number): number[] {
    const firsts: number[] = [];
    for (const message of this.#sent.splice(0)) {
      let bytes = message.length;
      forEachFrame(message, (frame) => {
        if (frame[0] === creditType) bytes -= 2 + creditFrameBytes;
        else firsts.push(frame[0] ?? -1);
      });
      this.#server.received(bytes, now);
    }
    const later = now + flowLimits.creditDelayMs;
    for (let credit = this.#server.nextMessage(later); credit !== null; credit = this.#server.nextMessage(later)) {
      this.onmessage?.(credit);
    }
    return firsts;
  }
}

function setUp(): { clock: VirtualClock; sockets: ScriptedSocket[]; split: SplitConnection; seen: string[] } {
  const clock = new VirtualClock();
  const sockets: ScriptedSocket[] = [];
  const seen: string[] = [];
  const open = (events: ConstructorParameters<typeof TunnelConnection>[2]): TunnelConnection => {
    const socket = new ScriptedSocket();
    sockets.push(socket);
    return new TunnelConnection(socket, clock, events, audioFlow);
  };
  const split = new SplitConnection(
    { openMain: open, openAudio: open, clock },
    {
      opened: () => seen.push('opened'),
      frame: (frame) => seen.push(`frame ${String(frame[0])}`),
      messageEnd: () => undefined,
      dropped: (meta) => seen.push(`dropped ${String(meta.lane)}`),
      closed: ({ wire }) => seen.push(`closed ${String(wire)}`),
    },
  );
  return { clock, sockets, split, seen };
}

const datagram = (first: number): Uint8Array => new Uint8Array(100).fill(first);
const turn = (): Promise<void> => new Promise(setImmediate);

t.test('audio goes beside, all else on the first, and either way when there is no second', async (t) => {
  const { clock, sockets, split, seen } = setUp();
  const main = sockets[0] as ScriptedSocket;
  main.onopen?.();
  t.same(seen, ['opened']);
  split.sendDatagram(datagram(0x80), audioMeta);
  await turn();
  t.same(main.take(clock.now()), [0x80]);
  t.equal(sockets.length, 1, 'not before the server has answered');
  split.agreeOnCredits();
  split.sendDatagram(Uint8Array.of(0, 1, 0, 0), transportMeta);
  await turn();
  t.same(main.take(clock.now()), [0]);
  t.equal(sockets.length, 1, 'checks are no media');
  split.sendDatagram(Uint8Array.of(22, 254, 253), transportMeta);
  await turn();
  t.same(main.take(clock.now()), [22]);
  const audio = sockets[1] as ScriptedSocket;
  t.ok(split.sendDatagram(datagram(0x80), audioMeta));
  await turn();
  t.same(main.take(clock.now()), [0x80], 'it is not open yet');
  audio.onopen?.();
  split.sendDatagram(datagram(0x81), audioMeta);
  split.sendDatagram(datagram(0x82), videoMeta);
  split.sendControl(Uint8Array.of(0xf3, 0, 0, 0, 0, 0, 0, 0, 0));
  await turn();
  t.same(audio.take(clock.now()), [0x81]);
  t.same(main.take(clock.now()), [0xf3, 0x82]);
  audio.onmessage?.(encodeFrame(Uint8Array.of(0x90)));
  audio.onmessage?.(encodeFrame(Uint8Array.of(0xf5, 3, 0, 0, 0, 1, 0x7b)));
  main.onmessage?.(encodeFrame(Uint8Array.of(0x91)));
  t.same(seen.slice(1), ['frame 144', 'frame 145'], 'the second one has no control channel');

  audio.onclose?.({ wire: 1006, reason: '' });
  split.sendDatagram(datagram(0x83), audioMeta);
  await turn();
  t.same(main.take(clock.now()), [0x83]);
  clock.advance(audioConnectionLimits.firstRetryMs);
  t.equal(sockets.length, 3, 'another one is made');
  split.close(4000, '');
  t.same([main.closed, sockets[2]?.closed], [true, true]);
  clock.advance(audioConnectionLimits.maxRetryMs);
  t.equal(sockets.length, 3);
  t.equal(clock.pendingTimers, 0);
});

t.test('a second connection that is stuck loses its audio to the first', async (t) => {
  const { clock, sockets, split } = setUp();
  const main = sockets[0] as ScriptedSocket;
  main.onopen?.();
  split.agreeOnCredits();
  main.onmessage?.(encodeFrame(datagram(0x90)));
  const audio = sockets[1] as ScriptedSocket;
  audio.onopen?.();
  split.sendDatagram(datagram(0x80), audioMeta);
  await turn();
  clock.advance(audioConnectionLimits.stuckMs);
  split.sendDatagram(datagram(0x81), audioMeta);
  await turn();
  t.same(main.take(clock.now()), [0x81]);
  t.same(audio.take(clock.now()), [0x80], 'it was only slow');
  split.sendDatagram(datagram(0x82), audioMeta);
  await turn();
  t.same(audio.take(clock.now()), [0x82]);

  split.sendDatagram(datagram(0x83), audioMeta);
  await turn();
  clock.advance(audioConnectionLimits.giveUpMs + 1);
  split.sendDatagram(datagram(0x84), audioMeta);
  await turn();
  t.ok(audio.closed);
  t.same(main.take(clock.now()), [0x84]);
  clock.advance(audioConnectionLimits.firstRetryMs);
  t.equal(sockets.length, 3);
  main.onclose?.({ wire: 1006, reason: '' });
  t.ok(sockets[2]?.closed, 'it ends with the first');
  t.equal(clock.pendingTimers, 0);
});

t.test('media that goes another way needs no second connection', (t) => {
  const { clock, sockets, split } = setUp();
  (sockets[0] as ScriptedSocket).onopen?.();
  split.agreeOnCredits();
  split.sendDatagram(datagram(0x80), videoMeta);
  const audio = sockets[1] as ScriptedSocket;
  audio.onopen?.();
  clock.advance(audioConnectionLimits.idleMs / 2);
  split.sendDatagram(datagram(0x80), videoMeta);
  clock.advance(audioConnectionLimits.idleMs - 1);
  t.notOk(audio.closed);
  clock.advance(1);
  t.ok(audio.closed);
  t.equal(clock.pendingTimers, 0);
  split.sendDatagram(datagram(0x81), audioMeta);
  t.equal(sockets.length, 3, 'until it comes back');
  split.close(4000, '');
  t.equal(clock.pendingTimers, 0);
  t.end();
});
