import type { Batch } from '../inventory/batches.js';
import * as batchItems from '../inventory/batch-items.js';
import { batchDocument, exitOf, itemDocument, statusOf } from './batch-document.js';
import { describeCounts, openBatchDisplay } from './batch-display.js';
import type { Session } from './cli.js';
import { parseTimeout, type FollowOptions } from './follow.js';
import type { Chom } from './open.js';
import { EXIT, problemOf } from './problem.js';
import { duration, table } from './text.js';
import { watchBatch, type SeenBatch } from './watch-batch.js';

/** So many of those that did not succeed are listed at the end; all are in `batch show`. */
const LISTED = 50;

/** Shows a batch until it ends, or until whoever watches has enough. Returns the exit status. */
export async function followBatch(
  session: Session,
  chom: Chom,
  { id, name, startsAt }: Batch,
  options: Pick<FollowOptions, 'detach' | 'timeout' | 'needsWorker'> = {},
): Promise<number> {
  const { cli, output } = session;
  const limit = parseTimeout(options.timeout);
  const running = { batch: id, name, status: 'running' };
  const later = startsAt !== null && Date.parse(startsAt) > Date.now();
  if (options.detach || later) {
    const begins = later ? `It begins at ${startsAt}` : 'Asked for';
    output.say(`${begins}. Follow it with: chom batch watch ${name}`);
    output.data(running, id);
    return EXIT.ok;
  }
  const left = new AbortController();
  const interrupt = () => left.abort('interrupted');
  process.on('SIGINT', interrupt);
  const timer = limit === null ? undefined : setTimeout(() => left.abort('timeout'), limit);
  const display = openBatchDisplay(cli);
  try {
    const seen = await watchBatch(chom, id, {
      signal: left.signal,
      onSeen: (now) => display.show(now),
      ...(options.needsWorker && { workerWithin: 10_000 }),
    });
    display.end();
    return await conclude(session, chom, seen);
  } catch (error) {
    display.end();
    if (!left.signal.aborted) {
      const problem = problemOf(error);
      return output.problem(problem, problem.type === 'NoWorker' ? 'running' : 'failed', { batch: id });
    }
    const timedOut = left.signal.reason === 'timeout';
    output.say(
      `${timedOut ? 'It takes longer than that' : 'Left'}; it goes on. Follow it with: chom batch watch ${name}`,
    );
    output.data(running, '');
    return timedOut ? EXIT.timedOut : EXIT.detached;
  } finally {
    clearTimeout(timer);
    // After one Ctrl-C the process is about to end: the second must not end it otherwise.
    if (left.signal.reason !== 'interrupted') process.off('SIGINT', interrupt);
  }
}

async function conclude({ output }: Session, chom: Chom, { batch, phases }: SeenBatch): Promise<number> {
  const { id, name, kind, askedAt, endedAt } = batch;
  const bad = await batchItems.list(chom.inventory.db, id, { states: ['failed', 'cancelled', 'skipped'] });
  const failed = bad.filter(({ phase, state }) => phase === 'item' || state !== 'skipped');
  const took = duration(Date.parse(endedAt ?? askedAt) - Date.parse(askedAt));
  const words = { succeeded: 'succeeded', partly: 'succeeded in part', failed: 'failed', cancelled: 'was cancelled' };
  output.say(`${kind} ${name} ${words[batch.outcome ?? 'failed']}: ${describeCounts({ phases })} (${took})`);
  if (failed.length > 0) {
    const rows = failed.slice(0, LISTED).map((item) => {
      const { verb, target, state, reason, operation } = item;
      return [batchItems.keyOf(item), verb, target, reason ?? state, operation ?? ''];
    });
    output.say(`\nNot done:\n${table(['ITEM', 'VERB', 'TARGET', 'WHY', 'OPERATION'], rows)}`);
    if (failed.length > LISTED) output.say(`and ${failed.length - LISTED} more: chom batch show ${name}`);
    output.say(`\nNext: chom batch retry ${name} --only-failed`);
  }
  output.data({ ...batchDocument(batch, phases), status: statusOf(batch), notDone: failed.map(itemDocument) }, id);
  return exitOf(batch);
}
