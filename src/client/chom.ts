#!/usr/bin/env node
import { runCommandLine } from './commands.js';

// Whoever reads the output may stop reading (`| head`): that is no failure.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}

const { stdin, stdout, stderr, env: environment } = process;
const status = await runCommandLine(process.argv.slice(2), { environment, stdin, stdout, stderr, exitStatus: 0 });
// What was written to a pipe must have left before the process does.
for (const stream of [stdout, stderr]) await new Promise<void>((resolve) => stream.write('', () => resolve()));
process.exit(status);
