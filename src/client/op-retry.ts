import type { Command } from 'commander';
import * as operations from '../inventory/operations.js';
import type { Operation } from '../inventory/operations.js';
import { failure } from '../workflows/failures.js';
import { askYesNo, interactive } from './ask.js';
import { action, type Cli, type Session } from './cli.js';
import { tellLogin } from './first-login.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions } from './follow.js';
import { parseOperationId } from './names.js';
import type { Chom } from './open.js';
import { targetOf } from './operation.js';
import { EXIT, problemOf } from './problem.js';
import { canRetry, retryId, retryOperation } from './retry-operation.js';
import { table } from './text.js';

/** All that have failed are looked through, the newest first, up to so many. */
const MOST = 10_000;

/** `chom op retry …` and `chom op forget …` */
export function retryCommands(op: Command, cli: Cli): void {
  op.command('retry')
    .argument('[id]')
    .description('ask anew for what a failed operation was to do, as a new operation; twice is once')
    .option('--all', 'for all that failed and were not retried or forgotten: the newest of each kind and target')
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText(
      'after',
      `
Checks are made anew. With --all each is asked for, and nobody waits for their ends; exit status 3 where some could not be.

Examples:
  chom op retry create-backup-abcdefghijkl
  chom op retry --all`,
    )
    .action(action(cli, retry));
  op.command('forget')
    .argument('[id]')
    .description('list a failed operation as such no more; its record stays')
    .option('--all', 'all that failed')
    .option('--force', 'do not ask, with --all')
    .addHelpText('after', '\nExample:\n  chom op forget create-backup-abcdefghijkl')
    .action(action(cli, forget));
}

interface RetryOptions extends Pick<FollowOptions, 'detach' | 'timeout'> {
  all?: boolean;
}

async function retry(session: Session, text: string | undefined, options: RetryOptions): Promise<number> {
  parseTimeout(options.timeout);
  const id = idOrAll(text, options.all, 'retry');
  const chom = await session.open();
  if (id === null) return await retryAll(session, chom);
  const asked = await retryOperation(chom, id);
  session.output.say(`Retried as ${asked}`);
  return await follow(session, chom, asked, {
    ...options,
    needsWorker: true,
    tell: async (ended) => await tellLogin(chom, ended),
  });
}

async function retryAll(session: Session, chom: Chom): Promise<number> {
  const results: { operation: string; target: string; retry: string | null; reason: string | null }[] = [];
  for (const one of await toRetry(chom)) {
    const target = await targetOf(chom.inventory.db, one);
    try {
      results.push({ operation: one.id, target, retry: await retryOperation(chom, one.id), reason: null });
    } catch (error) {
      results.push({ operation: one.id, target, retry: null, reason: problemOf(error).message });
    }
  }
  const rows = results.map(({ operation, target, retry: as, reason }) => [operation, target, as ?? `not: ${reason}`]);
  const text = rows.length === 0 ? 'Nothing to retry' : table(['OPERATION', 'TARGET', 'RETRIED AS'], rows);
  session.output.data({ retried: results }, text);
  const some = results.some(({ retry: as }) => as === null);
  return some ? EXIT.partly : EXIT.ok;
}

/** The newest failed one of each kind and target, unless a later one of that kind went well there. */
async function toRetry({ inventory: { db }, tenant }: Chom): Promise<Operation[]> {
  const seen = new Set<string>();
  const found: Operation[] = [];
  for (const one of await operations.list(db, { tenant, limit: MOST })) {
    if (one.parent !== null || (one.outcome !== 'failed' && one.outcome !== 'succeeded')) continue;
    const target = `${one.kind} ${one.site ?? one.server ?? ''}`;
    if (seen.has(target)) continue;
    seen.add(target);
    if (one.forgottenAt === null && canRetry(one) && !(await operations.find(db, retryId(one)))) found.push(one);
  }
  return found;
}

async function forget(session: Session, text: string | undefined, options: { all?: boolean; force?: boolean }) {
  const id = idOrAll(text, options.all, 'forget');
  const { inventory, tenant } = await session.open();
  const filter = { tenant, outcome: 'failed', forgotten: false, limit: MOST } as const;
  const ids = id === null ? (await operations.list(inventory.db, filter)).map((one) => one.id) : [id];
  if (id !== null) await operations.byId(inventory.db, id, { tenant });
  if (id === null && ids.length > 0 && options.force !== true) await askFirst(session, ids.length);
  const forgotten = await inventory.transaction(async (trx) => {
    const done: string[] = [];
    for (const one of ids) if (await operations.forget(trx, one)) done.push(one);
    return done;
  });
  if (id !== null && forgotten.length === 0) {
    throw failure('Conflict', `${id} is no failed operation that is listed`, { next: 'chom op list --failed' });
  }
  session.output.data({ forgotten }, `${forgotten.length} forgotten`);
}

async function askFirst({ cli }: Session, count: number): Promise<void> {
  if (interactive(cli)) {
    if ((await askYesNo(cli, `Forget ${count} failed operations?`)) === true) return;
    throw failure('InvalidInput', 'It was not confirmed', { next: 'chom op list --failed' });
  }
  throw failure('InvalidInput', 'Without a terminal nobody can be asked', { next: 'add --force' });
}

/** Null: all. @throws InvalidInput both or neither was said */
function idOrAll(text: string | undefined, all: boolean | undefined, verb: string): string | null {
  if ((text === undefined) === (all === true)) return text === undefined ? null : parseOperationId(text);
  throw failure('InvalidInput', 'Say which operation, or --all', {
    next: `chom op ${verb} ID, or: chom op ${verb} --all`,
  });
}
