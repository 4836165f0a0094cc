import type { Cli } from './cli.js';
import { describeProblem, problemDocument, type Problem } from './problem.js';
import { fitTables } from './text.js';

/** stdout is data, stderr is talk. */
export interface Output {
  readonly json: boolean;
  /** The command's one result: the document with --json, else the text. */
  data(document: object, text: string): void;
  /** A line for whoever watches. */
  say(text: string): void;
  /** What went wrong: text to stderr, and with --json the document to stdout, with `more`. Returns the exit status. */
  problem(problem: Problem, status?: 'failed' | 'cancelled' | 'running', more?: object): number;
}

export function openOutput(cli: Pick<Cli, 'stdout' | 'stderr'>, json: boolean): Output {
  fitTables(cli.stdout.isTTY === true ? cli.stdout.columns : undefined);
  const output: Output = {
    json,
    data(document, text) {
      if (json) cli.stdout.write(`${JSON.stringify(document)}\n`);
      else if (text !== '') cli.stdout.write(`${text}\n`);
    },
    say(text) {
      cli.stderr.write(`${text}\n`);
    },
    problem(problem, status = 'failed', more = {}) {
      cli.stderr.write(`${describeProblem(problem)}\n`);
      if (json) output.data({ ...problemDocument(problem, status), ...more }, '');
      return problem.exitStatus;
    },
  };
  return output;
}
