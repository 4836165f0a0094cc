import * as operations from '../inventory/operations.js';
import type { Operation } from '../inventory/operations.js';
import { failure } from '../workflows/failures.js';
import type { Question } from '../workflows/progress.js';
import { askYesNo, interactive } from './ask.js';
import type { Session } from './cli.js';
import { isDelayed, statusOf } from './operation.js';
import { openDisplay, type Display } from './display.js';
import type { Chom } from './open.js';
import { EXIT, problemOf, problemOfOperation } from './problem.js';
import { duration, printable } from './text.js';
import { answer, watch, type Seen } from './watch.js';

/** What is told of the thing that the operation was for, beside the operation itself. */
export interface Told {
  document: object;
  text: string;
}

export interface FollowOptions {
  /** Return at once. */
  detach?: boolean;
  /** Seconds to wait, as given. */
  timeout?: string;
  /** Says that nobody works when for 10 s no worker took the operation up. */
  needsWorker?: boolean;
  /** Looked up once the operation has succeeded. */
  tell?: (operation: Operation) => Promise<Told>;
}

const WORKER_WITHIN_MS = 10_000;

/** Options of every command that asks for an operation. */
export const FOLLOW_OPTIONS = {
  detach: ['--detach', 'return at once with the operation id'],
  timeout: ['--timeout <seconds>', 'stop waiting after so long (exit status 124); the operation goes on'],
  noWait: ['--no-wait', 'be refused (exit status 11) where it would have to wait in line'],
} as const;

/** Seconds from `--timeout`, as milliseconds. @throws InvalidInput */
export function parseTimeout(text: string | undefined): number | null {
  if (text === undefined) return null;
  const seconds = /^\d{1,7}(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (seconds > 0) return seconds * 1000;
  throw failure('InvalidInput', '--timeout takes a number of seconds greater than 0');
}

/** Shows an operation until it ends, or until whoever watches has enough. Returns the exit status. */
export async function follow(session: Session, chom: Chom, id: string, options: FollowOptions = {}): Promise<number> {
  const { cli, output } = session;
  const limit = parseTimeout(options.timeout);
  const row = await operations.byId(chom.inventory.db, id, chom);
  const running = { operation: id, status: statusOf(row) };
  if (isDelayed(row)) {
    output.say(`It begins at ${row.startsAt}. Follow it then with: chom op watch ${id}`);
    output.data({ ...running, startsAt: row.startsAt }, id);
    return EXIT.ok;
  }
  if (options.detach) {
    output.say(`Asked for. Follow it with: chom op watch ${id}`);
    output.data(running, id);
    return EXIT.ok;
  }
  const left = new AbortController();
  // Stays until the end, so that a second Ctrl-C does nothing more.
  const interrupt = () => left.abort('interrupted');
  process.on('SIGINT', interrupt);
  const timer = limit === null ? undefined : setTimeout(() => left.abort('timeout'), limit);
  const display = openDisplay(cli);
  const questions = answerQuestions(session, chom, id, display, left);
  try {
    const seen = await watch(chom, id, {
      signal: left.signal,
      onSeen: (now) => {
        if (!questions.busy(now)) display.show(now);
      },
      ...(options.needsWorker && { workerWithin: WORKER_WITHIN_MS }),
    });
    display.end();
    return await conclude(session, seen, options.tell);
  } catch (error) {
    display.end();
    if (!left.signal.aborted) {
      const problem = problemOf(error, id);
      return output.problem(problem, problem.type === 'NoWorker' ? 'running' : 'failed');
    }
    const timedOut = left.signal.reason === 'timeout';
    output.say(
      `${timedOut ? 'It takes longer than that' : 'Left'}; the operation goes on. Follow it with: chom op watch ${id}`,
    );
    output.data(running, '');
    return timedOut ? EXIT.timedOut : EXIT.detached;
  } finally {
    clearTimeout(timer);
    left.abort('ended');
    await questions.done();
    // After one Ctrl-C the process is about to end: the second must not end it otherwise.
    if (left.signal.reason !== 'interrupted') process.off('SIGINT', interrupt);
  }
}

/** Tells how the operation ended, and of what it was for. */
async function conclude(session: Session, seen: Seen, tell: FollowOptions['tell']): Promise<number> {
  const { output } = session;
  const { operation, warnings } = seen;
  const { id, kind, outcome, startedAt, askedAt, endedAt } = operation;
  if (outcome !== 'succeeded') {
    const status = outcome === 'cancelled' ? 'cancelled' : 'failed';
    return output.problem(problemOfOperation(operation), status, { warnings });
  }
  const took = duration(Date.parse(endedAt ?? askedAt) - Date.parse(startedAt ?? askedAt));
  output.say(`${kind} succeeded${warnings.length > 0 ? ' with warnings' : ''} (${took})`);
  const told = await tell?.(operation);
  output.data({ operation: id, status: 'succeeded', warnings, ...told?.document }, told?.text ?? '');
  return EXIT.ok;
}

/** Puts what the operation asks to whoever is at the terminal, each question once. */
function answerQuestions(session: Session, chom: Chom, id: string, display: Display, left: AbortController) {
  const { cli, output } = session;
  const put = new Set<string>();
  let asking: Promise<void> | null = null;
  const ask = async (question: Question) => {
    display.pause();
    output.say(`\n    ${printable(question.value)}\n`);
    const interrupted = () => left.abort('interrupted');
    const yes = await askYesNo(cli, printable(question.prompt), { signal: left.signal, interrupted });
    // Left open: the operation goes on waiting, and can be watched and answered again.
    if (yes === null) return left.abort('interrupted');
    await answer(chom, id, question, yes ? question.value : 'no');
  };
  return {
    /** Whether the terminal belongs to a question. */
    busy({ question }: Seen): boolean {
      if (question === null || put.has(question.name)) return asking !== null;
      put.add(question.name);
      if (!interactive(cli)) {
        output.say(`It asks: ${printable(question.prompt)} ${printable(question.value)}`);
        output.say(`Answer on a terminal, with: chom op watch ${id}`);
        return false;
      }
      asking = ask(question)
        .catch((error: unknown) => {
          output.problem(problemOf(error, id));
          left.abort('interrupted');
        })
        .finally(() => (asking = null));
      return true;
    },
    async done(): Promise<void> {
      await asking;
    },
  };
}
