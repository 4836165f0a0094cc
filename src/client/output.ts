import type { Cli } from './cli.js';
import type { GlobalOptions } from './global-options.js';
import { namesIn } from './names-in.js';
import { describeProblem, problemDocument, type Problem } from './problem.js';
import { fitTables } from './text.js';

/** How a command's result is written: for people, or its document for programs. */
export const OUTPUT_FORMS = ['table', 'wide', 'json', 'yaml', 'name'] as const;
export type OutputForm = (typeof OUTPUT_FORMS)[number];

/** What the command line asks for; `--json` is short for `--output json`. */
export function outputForm({ json, output }: GlobalOptions): OutputForm {
  return output ?? (json === true ? 'json' : 'table');
}

/** The same in words that could not be parsed. */
export function outputFormIn(words: readonly string[]): OutputForm {
  const at = words.findIndex((word) => word === '--output' || word === '-o');
  const joined = words.find((word) => /^(--output=|-o[a-z])/.test(word))?.replace(/^(--output=|-o)/, '');
  const given = joined ?? (at === -1 ? undefined : words[at + 1]);
  const form = OUTPUT_FORMS.find((one) => one === given);
  return form ?? (words.includes('--json') ? 'json' : 'table');
}

/** stdout is data, stderr is talk. */
export interface Output {
  /** The command's one result: the document in the form that is asked for, or the text for people. */
  data(document: object, text: string): void;
  /** A line for whoever watches. */
  say(text: string): void;
  /** What went wrong: text to stderr, and for programs the document to stdout, with `more`. Returns the exit status. */
  problem(problem: Problem, status?: 'failed' | 'cancelled' | 'running', more?: object): number;
}

export async function openOutput(cli: Pick<Cli, 'stdout' | 'stderr'>, form: OutputForm): Promise<Output> {
  const fitted = cli.stdout.isTTY === true && form !== 'wide';
  fitTables(fitted ? cli.stdout.columns : undefined);
  const written = await writerOf(form);
  const write = (text: string) => {
    if (text !== '') cli.stdout.write(`${text}\n`);
  };
  const output: Output = {
    data(document, text) {
      write(written?.(document) ?? text);
    },
    say(text) {
      cli.stderr.write(`${text}\n`);
    },
    problem(problem, status = 'failed', more = {}) {
      cli.stderr.write(`${describeProblem(problem)}\n`);
      // What has no outcome to speak of has no name either.
      if (written && form !== 'name') write(written({ ...problemDocument(problem, status), ...more }));
      return problem.exitStatus;
    },
  };
  return output;
}

/** Null: the text for people is written. */
async function writerOf(form: OutputForm): Promise<((document: object) => string) | null> {
  if (form === 'table' || form === 'wide') return null;
  if (form === 'json') return (document) => JSON.stringify(document);
  if (form === 'name') return (document) => namesIn(document).join('\n');
  const { stringify } = await import('yaml');
  // By way of JSON, so that it says the same.
  const plain = { lineWidth: 0, aliasDuplicateObjects: false };
  return (document) => stringify(JSON.parse(JSON.stringify(document)), plain).trimEnd();
}
