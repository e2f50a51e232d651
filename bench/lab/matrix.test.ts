import t from 'tap';
import type { CellRun } from './cell.ts';
import { labPage } from './matrix-html.ts';
import { formatMatrix } from './matrix-table.ts';
import { attemptsOf, type PageReport, type TriedWay } from './page-watch.ts';
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

t.test('table, page and file show every cell, and words of a client cannot break the page', (t) => {
  const cells = [labCell(open, 'chromium', [green, { ...green, joinMs: 400 }]), labCell(open, 'node', [red])];
  const result = labResult(
    cells,
    [{ profile: 'open', summary: open.summary, stopped: 12, facts: ['7 connections cut'], link: null }],
    [{ profile: 'closed', client: 'node', reason: 'it <is> closed' }],
  );
  const table = formatMatrix(result.cells, result.notYet);
  t.match(table, /open +chromium +ok +udp +300 ms \(300–400\) +3 of 503 +udp 20 ms/);
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
