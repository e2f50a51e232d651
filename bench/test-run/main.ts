/** `npm test [-- files]`: runs tap and says, at the end of the log, what failed and where the time went. */
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { RunLog } from './run-log.ts';

const tapFile = 'dist/test-run.tap';

const log = new RunLog({ print: (text) => process.stdout.write(text) });
const tap = spawn('node_modules/.bin/tap', ['run', '--reporter=tap', ...process.argv.slice(2)], {
  stdio: ['inherit', 'pipe', 'inherit'],
});
const ended = new Promise<string | null>((resolve) => {
  tap.once('error', (error) => {
    resolve(error.message);
  });
  tap.once('close', (code, signal) => {
    resolve(code === 0 ? null : `tap ended with ${signal ?? String(code)}`);
  });
});
tap.stdout.pipe(createWriteStream(tapFile));
tap.stdout.pipe(log.input);
const trouble = await ended;
process.stdout.write(`\nall results: ${tapFile}\n${log.summary()}`);
if (trouble !== null && !log.failed) process.stdout.write(`but ${trouble}\n`);
if (trouble !== null || log.failed) process.exitCode = 1;
