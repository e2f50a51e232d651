import t from 'tap';
import type { CellRun } from './cell.ts';
import { labPage } from './matrix-html.ts';
import { formatMatrix } from './matrix-table.ts';
import { attemptsOf, type PageReport, type TriedWay } from './page-watch.ts';
import { bestAttempts } from './best-attempts.ts';
import { clientKinds } from './profile.ts';
import { open } from './profiles/open.ts';
import { profiles } from './profiles/index.ts';
import { labCell, labResult } from './result.ts';

const green: CellRun = {
  ok: true,
  rung: 'udp',
  joinMs: 300,
  refusal: null,
  received: 500,
  lost: 3,
  gapMs: 40,
  attempts: [{ rung: 'udp', outcome: 'connected', ms: 20 }],
  problem: null,
};
const red: CellRun = { ...green, ok: false, rung: null, joinMs: null, problem: 'the page says: <no>' };

t.test('of several runs a red one is told, otherwise the median', (t) => {
  const times = [500, 100, 300].map((joinMs) => ({ ...green, joinMs }));
  t.match(labCell(open, 'node', times), { ok: true, joinMs: 300, profile: 'open', client: 'node' });
  t.match(labCell(open, 'node', [...times, red]), { ok: false, rung: null, problem: red.problem });
  t.end();
});

t.test('what was red at first is told when it is green in the end', (t) => {
  const cell = labCell(open, 'node', [red], [green]);
  t.match(cell, { ok: true, confirmed: true, rung: 'udp', joinP50Ms: 300, runs: [red, green] });
  t.match(labCell(open, 'node', [red], [red]), { ok: false, confirmed: false });
  t.match(formatMatrix([cell]), /open +node +ok, at last +udp/);
  t.end();
});

t.test('of many attempts the matrix shows one per rung, for media alone', (t) => {
  const best = bestAttempts([
    { rung: 'websocket', outcome: 'connected', ms: 50, channel: 'control' },
    { rung: 'websocket', outcome: 'connected', ms: 90 },
    { rung: 'udp', outcome: 'failed', ms: 10 },
    { rung: 'udp', outcome: 'connected', ms: 300 },
    { rung: 'udp', outcome: 'connected', ms: 200 },
    { rung: 'turn-udp', outcome: 'pending', ms: 10 },
    { rung: 'turn-udp', outcome: 'failed', ms: 700 },
  ]);
  t.strictSame(
    best.map(({ rung, outcome, ms }) => [rung, outcome, ms]),
    [
      ['udp', 'connected', 200],
      ['turn-udp', 'failed', 700],
      ['websocket', 'connected', 90],
    ],
  );
  t.end();
});

t.test('table, page and file show every cell, and words of a client cannot break the page', (t) => {
  const cells = [labCell(open, 'chromium', [green, { ...green, joinMs: 400 }]), labCell(open, 'node', [red])];
  const result = labResult(
    cells,
    [{ profile: 'open', summary: open.summary, stopped: 12, facts: ['7 connections cut'], link: null }],
    [{ profile: 'closed', client: 'node', reason: 'it <is> closed' }],
  );
  const table = formatMatrix(result.cells, result.notYet);
  t.match(table, /open +chromium +ok +udp +350 ms \(p95 395 ms\) +3 of 503 +udp 20 ms/);
  t.match(table, /open +node +RED .*the page says: <no>/);
  t.match(table, /1 of 2 green/);
  const page = labPage(result);
  t.match(table, 'Not yet possible: node in closed: it <is> closed.');
  t.ok(page.includes('12 packets stopped') && page.includes('7 connections cut'));
  t.ok(page.includes('&lt;no&gt;') && !page.includes('<no>'));
  t.match(result, { bench: 'lab', figures: [{ id: 'lab.open.chromium.join_ms', unit: 'ms', spread: [300, 400] }] });
  t.end();
});

t.test('what the browser tried becomes one attempt per rung', (t) => {
  const way: TriedWay = {
    candidateType: 'host',
    protocol: 'udp',
    relayProtocol: '',
    seenAt: 100,
    state: 'in-progress',
    succeededAt: null,
  };
  const report: PageReport = {
    now: 1_000,
    rung: 'ice-tcp',
    joinMs: 500,
    frames: 1,
    audioPackets: 1,
    packets: 2,
    lost: 0,
    gapMs: 0,
    ways: [
      { ...way, candidateType: 'relay', relayProtocol: 'tls' },
      { ...way, candidateType: 'relay', relayProtocol: 'tcp', state: 'failed' },
      { ...way, protocol: 'tcp', state: 'succeeded', succeededAt: 150 },
      { ...way, protocol: 'tcp', state: 'succeeded', succeededAt: 140 },
      way,
    ],
    failures: [{ url: 'turn:192.0.2.1:3478?transport=udp', reason: '701 time-out', ms: 900 }],
  };
  t.same(
    attemptsOf(report).map(({ rung, outcome, ms }) => [rung, outcome, ms]),
    [
      ['turn-udp', 'failed', 900],
      ['udp', 'pending', 900],
      ['ice-tcp', 'connected', 40],
      ['turn-tcp', 'failed', 900],
      ['turn-tls', 'superseded', 900],
    ],
  );
  t.end();
});

t.test('every profile has its own name and can be met', (t) => {
  t.equal(new Set(profiles.map(({ name }) => name)).size, profiles.length);
  for (const { name, summary, rungs, budgetSeconds, notYet, refusal } of profiles) {
    const canEnd = clientKinds.every((kind) => rungs[kind].length > 0 || refusal !== undefined || notYet?.[kind]);
    t.ok(summary !== '' && budgetSeconds > 0 && canEnd, name);
  }
  t.end();
});
