import type { z } from 'zod';
import { DOCUMENTS, overApi, WITHOUT_DOCUMENT } from '../../src/client/documents/of-command.js';
import { problem } from '../../src/client/documents/problem.js';
import { outputFormIn } from '../../src/client/output.js';
import { REMOTE_VERBS } from '../../src/client/remote-verbs.js';
import { nameIn } from './command-shape.js';
import { noteCommand } from './noted-commands.js';

/**
 * Notes a command that was run, and sees that it printed, with --json, one document and the one that is declared for it, with no field
 * more. Every test that runs commands passes all of them here. @throws Error saying what is otherwise
 */
export function checkRun(
  words: readonly string[],
  { stdout, exit }: { stdout: string; exit: number | null },
  environment: NodeJS.ProcessEnv,
): void {
  if (exit === 0) noteCommand(words);
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
