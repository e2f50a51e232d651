/** Two ends that report to each other, over a path and a control channel that can be told to fail. */
import fc from 'fast-check';
import t from 'tap';
import type { PathReport } from '../../tunnel-protocol/index.ts';
import { PathEvidence, defaultEvidence } from './path-evidence.ts';
import type { Evidence } from './path-evidence.ts';

/** Every 20 ms, as audio is sent. */
const packetMs = 20;

interface Conditions {
  /** Shares that are lost. */
  down: number;
  up: number;
  /** Packets per 20 ms; 0.02 is RTCP alone. */
  downRate: number;
  upRate: number;
  pathDelayMs: number;
  controlDelayMs: number;
  /** The control channel delivers nothing until it is false again; then all at once. */
  controlStalled: boolean;
  /** This end's process stands still: then it reads all that came, reports first. */
  frozen: boolean;
}

class Network {
  now = 1_000_000;
  readonly evidence = new PathEvidence();
  readonly verdicts: (Evidence & { readonly at: number })[] = [];
  readonly conditions: Conditions = {
    down: 0,
    up: 0,
    downRate: 2,
    upRate: 1,
    pathDelayMs: 30,
    controlDelayMs: 20,
    controlStalled: false,
    frozen: false,
  };
  reports = 0;
  #peer = { sent: 0, received: 0 };
  #due: { at: number; control: boolean; deliver: () => void }[] = [];
  #owed = { down: 0, up: 0 };
  #nextPacketAt = this.now;
  #random: () => number;
  #peerClock = 77_000 - this.now;

  constructor(seed = 1) {
    let state = seed;
    this.#random = () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
    this.evidence.watch(5, this.now);
  }

  /** The server's report, as though it were now. */
  get report(): PathReport {
    const { sent, received } = this.#peer;
    const time = (this.now + this.#peerClock) >>> 0;
    return { nomination: 5, time, sent, sentBytes: 0, received, receivedBytes: 0 };
  }

  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += 5) {
      if (this.now >= this.#nextPacketAt) this.#packets();
      if (!this.conditions.frozen) this.#client();
    }
  }

  #packets(): void {
    this.#nextPacketAt += packetMs;
    const { conditions } = this;
    this.#owed.down += conditions.downRate;
    this.#owed.up += conditions.upRate;
    for (; this.#owed.down >= 1; this.#owed.down--) {
      this.#peer.sent++;
      if (this.#random() >= conditions.down) {
        this.#carry(conditions.pathDelayMs, false, () => {
          this.evidence.received(1000, this.now);
        });
      }
    }
    for (; this.#owed.up >= 1; this.#owed.up--) {
      if (!conditions.frozen) this.evidence.sent(200);
      if (this.#random() >= conditions.up) this.#peer.received++;
    }
  }

  #carry(delayMs: number, control: boolean, deliver: () => void): void {
    this.#due.push({ at: this.now + delayMs, control, deliver });
  }

  #client(): void {
    const { conditions } = this;
    const ready = this.#due.filter(({ at, control }) => at <= this.now && !(control && conditions.controlStalled));
    this.#due = this.#due.filter((each) => !ready.includes(each));
    for (const { control, deliver } of ready) if (control) deliver();
    for (const { control, deliver } of ready) if (!control) deliver();
    if (this.now < this.evidence.nextTimeout()) return;
    if (this.evidence.takeReport(this.now) !== null) {
      this.reports++;
      if (!conditions.controlStalled) this.#answer();
    }
    this.#ask();
  }

  #answer(): void {
    const { report } = this;
    this.#carry(this.conditions.controlDelayMs, true, () => {
      this.evidence.receive(report, this.now);
      this.#ask();
    });
  }

  #ask(): void {
    const verdict = this.evidence.verdict(this.now);
    if (verdict !== null) this.verdicts.push({ ...verdict, at: this.now });
  }
}

t.test('a good path: a report each 250 ms, and nothing against it', (t) => {
  const network = new Network();
  network.run(60_000);
  t.same(network.verdicts, []);
  t.ok(network.reports >= 235 && network.reports <= 241, String(network.reports));
  t.end();
});

t.test('nothing arrives of what the peer sends: confirmed silence within about a second', (t) => {
  for (let offset = 0; offset < 260; offset += 20) {
    const network = new Network();
    network.run(5000 + offset);
    network.conditions.down = 1;
    const diedAt = network.now;
    network.run(2000);
    const [first] = network.verdicts;
    t.match(first, { cause: 'silence', direction: 'down', share: 1 });
    const ms = (first?.at ?? Infinity) - diedAt;
    t.ok(ms >= defaultEvidence.silenceMs && ms <= 1250, `${String(ms)} ms`);
  }
  t.end();
});

t.test('nothing arrives at the peer of what is sent: the same', (t) => {
  const network = new Network();
  network.run(5000);
  network.conditions.up = 1;
  const diedAt = network.now;
  network.run(2000);
  t.match(network.verdicts[0], { cause: 'silence', direction: 'up' });
  t.ok((network.verdicts[0]?.at ?? Infinity) - diedAt <= 1500);
  t.end();
});

t.test('nothing to send is no silence: muted, RTCP alone, and alone with losses', (t) => {
  const network = new Network();
  network.run(5000);
  network.conditions.downRate = 0;
  network.run(10_000);
  network.conditions.upRate = 0;
  const before = network.reports;
  network.run(60_000);
  t.ok(network.reports - before <= 75, `${String(network.reports - before)} reports in an idle minute`);
  network.conditions.downRate = network.conditions.upRate = 0.02;
  network.run(60_000);
  network.conditions.down = network.conditions.up = 0.3;
  network.run(30_000);
  t.same(network.verdicts, []);
  t.end();
});

t.test('an idle path that dies is noticed soon after the peer begins to send again', (t) => {
  const network = new Network();
  network.conditions.downRate = network.conditions.upRate = 0.02;
  network.run(20_000);
  network.conditions.down = 1;
  network.conditions.downRate = 2;
  const beganAt = network.now;
  network.run(4000);
  t.match(network.verdicts[0], { direction: 'down' });
  t.ok((network.verdicts[0]?.at ?? Infinity) - beganAt <= 3000);
  t.end();
});

t.test('sustained loss, either way: 20 % within 4 s, 50 % within 2 s; 3 % never', (t) => {
  for (const direction of ['down', 'up'] as const) {
    for (const [loss, withinMs] of [
      [0.2, 4000],
      [0.5, 2000],
    ] as const) {
      const network = new Network();
      network.run(10_000);
      network.conditions[direction] = loss;
      const began = network.now;
      network.run(withinMs);
      const [first] = network.verdicts;
      t.match(first, { cause: 'loss', direction }, `${direction} ${String(loss)}`);
      t.ok(
        Math.abs((first?.share ?? 0) - loss) < 0.25,
        `${String(first?.share)} after ${String((first?.at ?? 0) - began)}`,
      );
    }
    const network = new Network();
    network.conditions[direction] = 0.03;
    network.run(300_000);
    t.same(network.verdicts, [], 'a little loss is borne');
  }
  t.end();
});

t.test('an interruption of half a second is neither silence nor sustained loss', (t) => {
  for (let offset = 0; offset < 250; offset += 25) {
    const network = new Network();
    network.run(10_000 + offset);
    network.conditions.down = network.conditions.up = 1;
    network.run(500);
    network.conditions.down = network.conditions.up = 0;
    network.run(10_000);
    t.same(network.verdicts, []);
  }
  t.end();
});

t.test('a control channel that stalls, or is slow, is not the path: no verdict', (t) => {
  for (const stallMs of [300, 1000, 2000]) {
    const network = new Network();
    network.run(10_000);
    network.conditions.controlStalled = true;
    network.run(stallMs);
    network.conditions.controlStalled = false;
    network.run(10_000);
    t.same(network.verdicts, [], `${String(stallMs)} ms`);
  }
  const jittery = new Network();
  for (let i = 0; i < 200; i++) {
    jittery.conditions.controlDelayMs = 20 + ((i * 137) % 400);
    jittery.run(300);
  }
  t.same(jittery.verdicts, []);
  t.end();
});

t.test('this process stands still: what it has not read is not lost', (t) => {
  for (const frozenMs of [200, 700, 1500, 4000]) {
    const network = new Network();
    network.run(10_000);
    network.conditions.frozen = true;
    network.run(frozenMs);
    network.conditions.frozen = false;
    network.run(10_000);
    t.same(network.verdicts, [], `${String(frozenMs)} ms`);
  }
  t.end();
});

t.test('what is said of an earlier path, out of order, or too often is ignored', (t) => {
  const network = new Network();
  network.run(5000);
  const { report } = network;
  const lies = [
    { ...report, nomination: 4, sent: report.sent + 10_000 },
    { ...report, time: (report.time - 5000) >>> 0, sent: report.sent + 10_000 },
  ];
  for (let i = 0; i < 50; i++) {
    for (const lie of lies) network.evidence.receive({ ...lie, sent: lie.sent + i * 1000 }, network.now);
    network.run(20);
    t.equal(network.evidence.verdict(network.now), null);
  }
  t.same(network.verdicts, []);
  network.evidence.watch(null, network.now);
  t.equal(network.evidence.nextTimeout(), Infinity);
  network.evidence.receive(report, network.now);
  t.equal(network.evidence.takeReport(network.now + 1e6), null);
  t.end();
});

t.test('any reports whatever: no throw, and timers that lie ahead or are served', (t) => {
  const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
  const report = fc.record({
    nomination: fc.integer({ min: 0, max: 9 }),
    time: u32,
    sent: u32,
    sentBytes: u32,
    received: u32,
    receivedBytes: u32,
  });
  fc.assert(
    fc.property(fc.array(fc.tuple(report, fc.nat(2000), fc.nat(40)), { maxLength: 50 }), (steps) => {
      const evidence = new PathEvidence();
      let now = 0;
      evidence.watch(3, now);
      for (const [each, ms, count] of steps) {
        for (let i = 0; i < count; i++) {
          evidence.sent(1);
          evidence.received(1, now);
        }
        evidence.receive(each, now);
        evidence.verdict(now);
        now += ms;
        for (let turns = 0; evidence.nextTimeout() <= now; turns++) {
          if (turns > 3) throw new Error('it wants attention at once, and then does nothing');
          evidence.takeReport(now);
          evidence.verdict(now);
        }
      }
    }),
    { numRuns: 500 },
  );
  t.pass();
  t.end();
});
