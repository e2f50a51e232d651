import t from 'tap';
import type { CallStats } from '../../client/index.ts';
import { JoinReport, describeAttempt } from './join-report.ts';

const stats: CallStats = {
  rung: 'udp',
  controlRung: 'websocket',
  roundTripMs: 12.34,
  controlRoundTripMs: 13,
  controlDelayTrend: null,
  packetsSent: 100,
  bytesSent: 50_000,
  packetsReceived: 100,
  bytesReceived: 25_000,
  packetsLost: 3,
  joinMs: 100,
  tracks: [],
};
const line = 'udp  round trip 12.3 ms  up 400 kbit/s  down 200 kbit/s  lost 3  more';

function reportTo(isTTY: boolean): { report: JoinReport; written: string[] } {
  const written: string[] = [];
  return { report: new JoinReport({ isTTY, write: (text) => written.push(text) }), written };
}

t.test('on a terminal one line changes each second, and other lines do not break it', (t) => {
  const { report, written } = reportTo(true);
  report.stats(stats, '  more');
  report.line('+ Grace came');
  report.stats({ ...stats, bytesSent: 100_000, bytesReceived: 50_000 }, '  more');
  report.end();
  report.end();
  const clear = '\r\u001b[K';
  t.same(written, [clear + line, `${clear}+ Grace came\n`, clear + line, '\n']);
  t.end();
});

t.test('elsewhere a line comes every five seconds, with the rate of these', (t) => {
  const { report, written } = reportTo(false);
  for (let i = 1; i <= 10; i++) {
    report.stats({ ...stats, bytesSent: stats.bytesSent * i, bytesReceived: stats.bytesReceived * i }, '  more');
  }
  report.line('bye');
  report.end();
  t.same(written, [`${line}\n`, `${line}\n`, 'bye\n']);
  t.end();
});

t.test('attempts, whatever a server put into a reason', (t) => {
  t.equal(describeAttempt({ rung: 'udp', outcome: 'connected', ms: 12.3 }), 'rung udp: connected after 12 ms');
  t.equal(
    describeAttempt({ rung: 'turn-tls', outcome: 'failed', ms: 80, reason: 'ECONN\u001bRESET' }),
    'rung turn-tls: failed after 80 ms (ECONN?RESET)',
  );
  const skipped = { rung: 'turn-udp', outcome: 'skipped', ms: 0, reason: 'the edge offers none' } as const;
  t.equal(describeAttempt(skipped), 'rung turn-udp: skipped (the edge offers none)');
  t.end();
});
