import { appendFileSync, mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const directory = fileURLToPath(new URL('../../.reports', import.meta.url));
const file = `${directory}/commands.jsonl`;

/** Notes a command that a test has run and that ended with 0: `npm test` sees at its end that those of the documents are among them. */
export function noteCommand(words: readonly string[]): void {
  mkdirSync(directory, { recursive: true });
  // One write, so that what several processes note does not mix.
  appendFileSync(file, `${JSON.stringify(words)}\n`);
}

/** Those of the last run of the tests. @throws Error when there was none */
export async function notedCommands(): Promise<string[][]> {
  const text = await readFile(file, 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as string[]);
}
