import type { Operation } from '../inventory/operations.js';
import type { Session } from './cli.js';
import { follow, type FollowOptions, type Told } from './follow.js';
import type { Chom } from './open.js';
import { describeProblem, EXIT, problemDocument, problemOf, type Problem } from './problem.js';
import { table } from './text.js';

/** One of several that are asked for together. */
export interface Each {
  /** What people call it. */
  name: string;
  /** Asks for it; returns the operation's id. */
  ask: () => Promise<string>;
  tell: (ended: Operation) => Promise<Told>;
}

/** How they went. */
export interface Followed {
  documents: object[];
  texts: string[];
  /** Exit status of each that was followed. */
  statuses: number[];
}

/** Who leaves with Ctrl-C leaves all of them; and without Temporal or a worker the next one fares no better. */
export const ENDS_ALL: readonly number[] = [EXIT.detached, EXIT.nobody];

/**
 * Asks for all of them, so that they work side by side, and then follows one after the other; a failure stops none. Lists
 * those that failed. `what` completes “Not …”.
 */
export async function followEach(
  session: Session,
  chom: Chom,
  all: readonly Each[],
  { what, ...options }: Omit<FollowOptions, 'tell'> & { what: string },
): Promise<Followed> {
  const { output } = session;
  const followed: Followed = { documents: [], texts: [], statuses: [] };
  const failed: { name: string; problem: Problem }[] = [];
  const asked: { each: Each; answer: string | Problem }[] = [];
  for (const each of all) asked.push({ each, answer: await each.ask().catch((error: unknown) => problemOf(error)) });
  for (const [n, { each, answer }] of asked.entries()) {
    const { name, tell } = each;
    if (asked.length > 1) output.say(`${n + 1} of ${asked.length}: ${name}`);
    const quiet: Session = {
      ...session,
      output: {
        ...output,
        data(document, text) {
          followed.documents.push({ name, ...document });
          if (text !== '') followed.texts.push(text);
        },
        problem(problem, status = 'failed', more = {}) {
          output.say(describeProblem(problem));
          followed.documents.push({ name, ...problemDocument(problem, status), ...more });
          failed.push({ name, problem });
          return problem.exitStatus;
        },
      },
    };
    const status =
      typeof answer === 'string'
        ? await follow(quiet, chom, answer, { ...options, needsWorker: true, tell })
        : quiet.output.problem(answer);
    followed.statuses.push(status);
    if (ENDS_ALL.includes(status)) break;
  }
  if (failed.length > 0) {
    const rows = failed.map(({ name, problem: { message, next } }) => [name, message, next ?? '']);
    output.say(`\nNot ${what}:\n${table(['NAME', 'WHY', 'NEXT'], rows)}`);
  }
  return followed;
}

/** Of several: 0 where all went well, 3 where some did, else what the first ended with. */
export function exitOfEach(statuses: readonly number[]): number {
  const bad = statuses.filter((status) => status !== EXIT.ok);
  if (bad.length === 0) return EXIT.ok;
  return bad.length === statuses.length ? (bad[0] ?? EXIT.failed) : EXIT.partly;
}
