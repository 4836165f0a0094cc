import { createInterface } from 'node:readline/promises';
import { failure } from '../workflows/failures.js';
import { interactive } from './ask.js';
import type { Session } from './cli.js';

/**
 * For what cannot be taken back: `--confirm NAME`, or the name typed at the terminal.
 * @throws InvalidInput another name, or nobody there to type it
 */
export async function confirm({ cli }: Pick<Session, 'cli'>, name: string, given: string | undefined): Promise<void> {
  if (given === name) return;
  if (given !== undefined) throw refused(`--confirm names ${given}, not ${name}`, name);
  if (!interactive(cli)) throw refused('This cannot be taken back, and nobody is there to confirm it', name);
  const terminal = createInterface({ input: cli.stdin, output: cli.stderr, terminal: true });
  const closed = new Promise<string>((resolve) => terminal.once('close', () => resolve('')));
  try {
    const typed = await Promise.race([terminal.question(`This cannot be taken back. Type ${name} to go on: `), closed]);
    if (typed.trim() !== name) throw refused('It was not confirmed', name);
  } finally {
    terminal.close();
  }
}

function refused(message: string, name: string) {
  return failure('InvalidInput', message, { next: `add --confirm ${name}` });
}
