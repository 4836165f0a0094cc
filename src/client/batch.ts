import type { Command } from 'commander';
import * as batches from '../inventory/batches.js';
import type { Batch } from '../inventory/batches.js';
import * as batchItems from '../inventory/batch-items.js';
import { failure } from '../workflows/failures.js';
import { batchDocument, itemDocument, statusOf } from './batch-document.js';
import { describeCounts, describeItem, describeState } from './batch-display.js';
import { batchRunCommand, chainRunCommand } from './batch-run.js';
import { action, type Cli, type Session } from './cli.js';
import { FOLLOW_OPTIONS, parseTimeout, type FollowOptions } from './follow.js';
import { followBatch } from './follow-batch.js';
import { parseLimit, parseOperationId } from './names.js';
import type { Chom } from './open.js';
import { facts, table } from './text.js';

type Follow = Pick<FollowOptions, 'detach' | 'timeout'>;

/** `chom batch …` and `chom chain …` */
export function batchCommands(program: Command, cli: Cli): void {
  const batch = program.command('batch').description('many operations that are asked for as one');
  batchRunCommand(batch, cli);
  batch
    .command('list')
    .description('batches and chains, the newest first, with how far they are')
    .option('--name <name>', 'only those of one name')
    .option('--running', 'only those that have not ended')
    .option('--limit <number>', 'at most so many', '20')
    .addHelpText('after', '\nExample:\n  chom batch list --running')
    .action(action(cli, list));
  named(batch.command('show'))
    .description('how far it is, and each of its operations')
    .option('--failed', 'only those that did not succeed')
    .addHelpText('after', '\nExample:\n  chom batch show nightly --failed')
    .action(action(cli, show));
  named(batch.command('watch'))
    .description('follow it to its end; exit status 3 where only some of it succeeded')
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText('after', '\nExample:\n  chom batch watch nightly')
    .action(action(cli, watch));
  named(batch.command('pause'))
    .description('begin nothing more of it; what is at work goes on')
    .addHelpText('after', '\nExample:\n  chom batch pause nightly')
    .action(action(cli, controlling('pauseBatch')));
  named(batch.command('resume'))
    .description('go on with a paused one; failures up to now count no more for its threshold')
    .addHelpText('after', '\nExample:\n  chom batch resume nightly')
    .action(action(cli, controlling('resumeBatch')));
  named(batch.command('approve'))
    .description('go on with one whose canaries went well')
    .addHelpText('after', '\nExample:\n  chom batch approve nightly')
    .action(action(cli, controlling('approveBatch')));
  named(batch.command('cancel'))
    .description('begin nothing more of it, and have what is at work take back what it did')
    .addHelpText('after', '\nExample:\n  chom batch cancel nightly')
    .action(action(cli, controlling('cancelBatch')));
  named(batch.command('retry'))
    .description('ask anew for whatever of it did not succeed, in a batch that has ended or is paused')
    .option('--only-failed', 'what did not succeed; all of it again is another: run its file')
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText('after', '\nExample:\n  chom batch retry nightly --only-failed')
    .action(action(cli, retry));
  const chain = program.command('chain').description('operations that run one after the other; see also: chom batch');
  chainRunCommand(chain, cli);
}

function named(command: Command): Command {
  return command.argument('<name>', 'of a batch or chain, the newest of it, or its id');
}

interface ListOptions {
  name?: string;
  running?: boolean;
  limit: string;
}

async function list(session: Session, { name, running: atWork, limit: text }: ListOptions): Promise<void> {
  const limit = parseLimit(text, 'batches');
  const { tenant, inventory } = await session.open();
  const which = { ...(name !== undefined && { name }), ...(atWork === true && { atWork }) };
  const listed = await batches.list(inventory.db, { tenant, limit, ...which });
  const documents: object[] = [];
  const rows: string[][] = [];
  for (const batch of listed) {
    const phases = await batchItems.counts(inventory.db, batch.id);
    documents.push(batchDocument(batch, phases));
    rows.push([batch.name, batch.kind, statusOf(batch), describeCounts({ phases }), batch.askedAt, batch.id]);
  }
  if (listed.length === 0) session.output.say('No batches');
  const heading = ['NAME', 'KIND', 'STATUS', 'PROGRESS', 'ASKED', 'ID'];
  session.output.data({ batches: documents }, listed.length === 0 ? '' : table(heading, rows));
}

async function show(session: Session, which: string, { failed }: { failed?: boolean }): Promise<void> {
  const chom = await session.open();
  const batch = await found(chom, which);
  const { db } = chom.inventory;
  const phases = await batchItems.counts(db, batch.id);
  const states = ['failed', 'cancelled', 'skipped'] as const;
  const items = await batchItems.list(db, batch.id, failed ? { states } : {});
  const { id, kind, name, askedAt, endedAt, round, priority, taskQueue } = batch;
  const head = facts([
    [kind, `${name} (${id})`],
    ['status', statusOf(batch)],
    ['progress', describeCounts({ phases })],
    ['asked', askedAt],
    ['ended', endedAt],
    ['round', round > 1 ? `${round}` : null],
    ['priority', priority],
    ['task queue', taskQueue],
  ]);
  const standing = describeState(batch);
  const lines = [head, ...(standing === null ? [] : [standing]), ...items.map((item) => describeItem(item, batch))];
  session.output.data({ ...batchDocument(batch, phases), items: items.map(itemDocument) }, lines.join('\n'));
}

async function watch(session: Session, which: string, options: Follow): Promise<number> {
  parseTimeout(options.timeout);
  const chom = await session.open();
  return await followBatch(session, chom, await found(chom, which), options);
}

/** By its name or id. @throws InvalidInput; NotFound */
async function found({ tenant, inventory }: Chom, which: string): Promise<Batch> {
  return await batches.find(inventory.db, tenant, parseOperationId(which));
}

function controlling(verb: 'pauseBatch' | 'resumeBatch' | 'approveBatch' | 'cancelBatch') {
  return async (session: Session, which: string): Promise<void> => {
    const control = await import('./batch-control.js');
    const chom = await session.open();
    const batch = await control[verb](chom, parseOperationId(which));
    const { name, state } = batch;
    session.output.say(`${name} is ${state}. Follow it with: chom batch watch ${name}`);
    session.output.data(batchDocument(batch, await batchItems.counts(chom.inventory.db, batch.id)), '');
  };
}

async function retry(session: Session, which: string, options: Follow & { onlyFailed?: boolean }): Promise<number> {
  parseTimeout(options.timeout);
  if (options.onlyFailed !== true) {
    throw failure('InvalidInput', 'Say what to retry', { next: `chom batch retry ${which} --only-failed` });
  }
  const { retryBatch } = await import('./batch-control.js');
  const chom = await session.open();
  const batch = await retryBatch(chom, parseOperationId(which));
  return await followBatch(session, chom, batch, { ...options, needsWorker: true });
}
