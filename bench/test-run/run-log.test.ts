import t from 'tap';
import { RunLog } from './run-log.ts';

const tap = `TAP version 14
# Subtest: dist/a.test.js
    # Subtest: outer
        ok 1 - fine
        not ok 2 - one is two
          ---
          compare: ===
          at:
            fileName: a.test.ts
            lineNumber: 7
          source: t.equal(1, 2)
          diff: |
            -2
            +1
          ...
        not ok 3 - known # TODO later
        1..3
    not ok 1 - outer # time=3ms
    ok 2 - needs a browser # SKIP there is no Chromium
    1..2
not ok 1 - dist/a.test.js # time=2500ms
ok 2 - dist/gateway/b.test.js # time=61000ms {
    ok 1 - good
    1..1
}
not ok 3 - timeout!
  ---
  expired: dist/gateway/c.test.js
  ...
1..3
`;

function logOf(text: string): { readonly log: RunLog; readonly lines: readonly string[] } {
  const lines: string[] = [];
  const log = new RunLog({ print: (line) => lines.push(line) });
  log.input.end(text);
  return { log, lines };
}

t.test('each file has its line, with the time that it took', (t) => {
  const { lines } = logOf(tap);
  t.same(lines, [
    'FAILED    2.5 s  dist/a.test.js\n',
    'ok       61.0 s  dist/gateway/b.test.js\n',
    'FAILED      –    dist/gateway/c.test.js, or the file after it (timeout)\n',
  ]);
  t.end();
});

t.test('the last lines name each failed file with its failed assertions', (t) => {
  const { log } = logOf(tap);
  t.ok(log.failed);
  const [, end = ''] = log.summary().split('FAILED in\n');
  t.equal(
    end,
    `  dist/a.test.js
    outer > one is two (a.test.ts:7)
        -2
        +1
  dist/gateway/c.test.js, or the file after it (timeout)
    dist/gateway/c.test.js, or the file after it (timeout)
        expired: dist/gateway/c.test.js
`,
  );
  t.match(log.summary(), 'skipped:\n  dist/a.test.js > needs a browser: there is no Chromium');
  t.match(log.summary(), 'by folder:\n    61.0 s  gateway');
  t.end();
});

t.test('a run without a failure says so', (t) => {
  const { log } = logOf('TAP version 14\nok 1 - dist/a.test.js # time=10ms {\n    ok 1 - good\n    1..1\n}\n1..1\n');
  t.notOk(log.failed);
  t.ok(log.summary().endsWith('1 files, 1 assertions: all passed\n'));
  t.end();
});
