import { createInterface } from 'node:readline/promises';
import { failure } from '../workflows/failures.js';
import type { Cli } from './cli.js';

/** Whether somebody is there to be asked. */
export function interactive({ stdin, stderr }: Pick<Cli, 'stdin' | 'stderr'>): boolean {
  return stdin.isTTY === true && stderr.isTTY === true;
}

/**
 * Asks on the terminal until the answer is yes or no. Null when it was left open (Ctrl-D), or `signal` was aborted.
 * `interrupted` is called for Ctrl-C, which the terminal gives to the question while it is asked.
 * @throws InvalidInput without a terminal
 */
export async function askYesNo(
  cli: Pick<Cli, 'stdin' | 'stderr'>,
  question: string,
  { signal, interrupted }: { signal?: AbortSignal; interrupted?: () => void } = {},
): Promise<boolean | null> {
  if (!interactive(cli)) throw failure('InvalidInput', `Without a terminal nobody can be asked: ${question}`);
  const closed = new AbortController();
  const left = signal ? AbortSignal.any([signal, closed.signal]) : closed.signal;
  const terminal = createInterface({ input: cli.stdin, output: cli.stderr, terminal: true, signal: left });
  terminal.once('SIGINT', () => {
    interrupted?.();
    closed.abort();
  });
  try {
    terminal.setPrompt(`${question} [yes/no] `);
    terminal.prompt();
    for await (const line of terminal) {
      const answer = line.trim().toLowerCase();
      if (['yes', 'y'].includes(answer)) return true;
      if (['no', 'n'].includes(answer)) return false;
      terminal.setPrompt('Please answer yes or no: ');
      terminal.prompt();
    }
    return null;
  } finally {
    terminal.close();
  }
}
