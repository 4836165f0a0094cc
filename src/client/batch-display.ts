import type { Item } from '../inventory/batch-items.js';
import * as batchItems from '../inventory/batch-items.js';
import type { Batch } from '../inventory/batches.js';
import type { ItemCounts } from '../workflows/batch-plan.js';
import { MARKS } from '../workflows/progress.js';
import type { Cli } from './cli.js';
import { duration, printable } from './text.js';
import { total, type SeenBatch } from './watch-batch.js';

/** Shows a batch while it is watched. */
export interface BatchDisplay {
  show(seen: SeenBatch): void;
  /** Draws for the last time. */
  end(): void;
}

/** On a terminal what has ended scrolls by above what is at work; elsewhere each change is a line. */
export function openBatchDisplay({ stderr, environment }: Pick<Cli, 'stderr' | 'environment'>): BatchDisplay {
  const live = stderr.isTTY === true && environment['TERM'] !== 'dumb';
  const told = new Map<string, string>();
  let drawn = 0;
  let running: Item[] = [];
  let last: SeenBatch | null = null;
  const erase = () => {
    if (drawn > 0) stderr.write(`\u001b[${drawn}A\u001b[J`);
    drawn = 0;
  };
  const draw = () => {
    if (!live || !last) return;
    const room = Math.max(1, (stderr.rows || 24) - 3);
    const shown = running.slice(0, room).map((item) => describeItem(item, last?.batch));
    const more = running.length > room ? [`… and ${running.length - room} more at work`] : [];
    const lines = [...shown, ...more, describeCounts(last)].map((line) => line.slice(0, (stderr.columns || 80) - 1));
    stderr.write(lines.map((line) => `${line}\n`).join(''));
    drawn = lines.length;
  };
  const say = (key: string, state: string, line: string) => {
    if (told.get(key) === state) return;
    told.set(key, state);
    stderr.write(`${line}\n`);
  };
  return {
    show(seen) {
      last = seen;
      erase();
      const { batch, changed } = seen;
      for (const item of changed) {
        const key = batchItems.keyOf(item);
        running = running.filter((one) => batchItems.keyOf(one) !== key);
        if (item.state === 'running') running.push(item);
        if (item.state === 'running' && live) continue;
        say(key, `${item.state} ${item.operation ?? batch.round}`, describeItem(item, batch));
      }
      const state = `${batch.state} ${batch.reason ?? ''} ${batch.canaryUntil ?? ''} ${batch.round}`;
      const standing = describeState(batch);
      if (standing !== null) say('', state, standing);
      draw();
    },
    end() {
      if (live) erase();
    },
  };
}

const ITEM_MARKS: Readonly<Record<Item['state'], string>> = {
  pending: MARKS.waiting,
  running: MARKS.running,
  succeeded: MARKS.done,
  failed: MARKS.failed,
  cancelled: MARKS.failed,
  skipped: MARKS.skipped,
};

/** One line: `✔ 3 backup.create example.org (12 s)`. */
export function describeItem(item: Item, batch: Batch | undefined): string {
  const { state, verb, target, startedAt, endedAt, reason, operation } = item;
  const took =
    startedAt === null || endedAt === null ? '' : ` (${duration(Date.parse(endedAt) - Date.parse(startedAt))})`;
  const inWords = ['cancelled', 'skipped', 'failed'].includes(state) ? ` — ${state}` : '';
  const why = reason === null ? '' : `: ${printable(reason)}`;
  const where = state === 'failed' && operation !== null && batch ? ` [${operation}]` : '';
  return `${ITEM_MARKS[state]} ${batchItems.keyOf(item)} ${verb} ${printable(target)}${inWords}${took}${why}${where}`;
}

/** What holds it up, and the command that lets it go on; null where nothing does. */
export function describeState({
  name,
  state,
  pausedBy,
  reason,
  startsAt,
  canaryUntil,
  approved,
}: Batch): string | null {
  if (state === 'paused') {
    const verb = pausedBy === 'approval' ? 'approve' : 'resume';
    const retry =
      pausedBy === 'failures' || pausedBy === 'canaries' ? `, or: chom batch retry ${name} --only-failed` : '';
    return `… Paused: ${printable(reason ?? '')}. Go on with: chom batch ${verb} ${name}${retry}`;
  }
  if (state === 'cancelling') return '… It is cancelled: what is at work takes back what it did';
  if (state === 'running' && startsAt !== null && Date.parse(startsAt) > Date.now())
    return `… It begins at ${startsAt}`;
  if (state === 'running' && canaryUntil !== null && !approved)
    return `… The canaries went well; the others begin at ${canaryUntil}`;
  return null;
}

/** `12 of 40 done, 1 failed, 4 at work` */
export function describeCounts({ phases }: Pick<SeenBatch, 'phases'>): string {
  const { item } = phases;
  const bad = counted(item);
  const running = item.running > 0 ? [`${item.running} at work`] : [];
  return [`${item.succeeded} of ${total(item)} done`, ...bad, ...running].join(', ');
}

function counted({ failed, cancelled, skipped }: ItemCounts): string[] {
  return Object.entries({ failed, cancelled, skipped }).flatMap(([what, count]) =>
    count > 0 ? [`${count} ${what}`] : [],
  );
}
