import { PassThrough } from 'node:stream';
import type { Command } from 'commander';
import type { z } from 'zod';
import { ALIASES, chomCommand } from '../../src/client/commands.js';
import { DOCUMENTS, overApi, WITHOUT_DOCUMENT } from '../../src/client/documents/of-command.js';
import { problem } from '../../src/client/documents/problem.js';
import { outputFormIn } from '../../src/client/output.js';
import { nameOf } from '../../src/client/remote.js';
import { REMOTE_VERBS } from '../../src/client/remote-verbs.js';

const stream = new PassThrough();
const program = chomCommand({ environment: {}, stdin: stream, stdout: stream, stderr: stream, exitStatus: 0 });

/**
 * Sees that a command that was run printed, with --json, one document and the one that is declared for it, with no field
 * more. Every test that runs commands checks with it all that they print. @throws Error saying what is otherwise
 */
export function checkDocument(
  words: readonly string[],
  { stdout, exit }: { stdout: string; exit: number | null },
  environment: NodeJS.ProcessEnv,
): void {
  if (outputFormIn(words) !== 'json' || words.includes('--help')) return;
  const name = nameIn(words);
  // Of one that a signal ended, a part may be there, and of one that a person has said no to, nothing.
  if (WITHOUT_DOCUMENT.includes(name) || exit === null || (stdout === '' && exit !== 0)) return;
  const remote = words.some((word) => word.startsWith('--api')) || Boolean(environment['CHOM_API']);
  const schema = remote ? overApi(name, REMOTE_VERBS[name] ?? {}) : DOCUMENTS[name];
  const document = JSON.parse(stdout) as object;
  const wrong = isProblem(document) ? issuesOf(problem, document) : schema && issuesOf(schema, document);
  if (wrong === '') return;
  throw new Error(`chom ${words.join(' ')}: ${wrong ?? 'no schema is declared'} of ${stdout.slice(0, 2000)}`);
}

/** Also an operation has an error, with more around it. */
function isProblem(document: object): boolean {
  return 'error' in document && !('kind' in document);
}

function issuesOf(schema: z.ZodType, document: object): string {
  const { error } = schema.safeParse(document);
  return error === undefined ? '' : JSON.stringify(error.issues);
}

/** The command that a command line names, as `nameOf` calls it. */
export function nameIn(given: readonly string[]): string {
  const words = given.flatMap(
    (word) => ALIASES[word] ?? [word === 'backup:database' ? ['backup', 'database'] : word].flat(),
  );
  let command: Command = program;
  let value = false;
  for (const word of words) {
    const option = optionOf(command, word);
    if (value) value = false;
    else if (word.startsWith('-')) value = option?.required === true && (word === option.long || word === option.short);
    else {
      const next = command.commands.find((one) => one.name() === word);
      if (!next) break;
      command = next;
    }
  }
  // Of `secrets` alone the verb is known.
  const otherwise: unknown = Reflect.get(command, '_defaultCommandName');
  return nameOf(command.commands.find((one) => one.name() === otherwise) ?? command);
}

function optionOf(command: Command, word: string) {
  for (let one: Command | null = command; one !== null; one = one.parent) {
    const found = one.options.find(({ long, short }) => long === word.split('=')[0] || short === word);
    if (found) return found;
  }
  return undefined;
}
