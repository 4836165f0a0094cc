import type { Command } from 'commander';
import type { Db } from '../inventory/database.js';
import * as obligations from '../inventory/obligations.js';
import * as operations from '../inventory/operations.js';
import type { Operation, OperationFilter } from '../inventory/operations.js';
import { whereabouts, type Whereabouts } from '../inventory/whereabouts.js';
import { describeLine } from '../workflows/line.js';
import * as sites from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import { UNDO } from '../workflows/plans.js';
import { cancelOperation } from './cancel.js';
import { action, type Cli, type Session } from './cli.js';
import { parseDomain } from './domain.js';
import { tellLogin } from './first-login.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions } from './follow.js';
import { logsCommand } from './logs.js';
import { parseOperationId } from './names.js';
import { retryCommands } from './op-retry.js';
import { settleCommand } from './op-settle.js';
import { describeOwed, obligationDocument, operationDocument, statusOf, targetOf, tookOf } from './operation.js';
import { describeProblem, problemOfOperation } from './problem.js';
import { howFar } from './progress-probe.js';
import { describeStep, shownSteps } from './step-tree.js';
import { facts, quoted, table } from './text.js';

interface ListOptions {
  failed?: boolean;
  running?: boolean;
  kind?: string;
  site?: string;
  limit: string;
}

/** `chom op …` */
export function opCommand(program: Command, cli: Cli): void {
  const op = program.command('op').description('operations: everything that was asked for, with its outcome');
  op.command('list')
    .description('operations, the newest first')
    .option('--failed', 'only those that failed, and were not forgotten')
    .option('--running', 'only those that have not ended')
    .option('--kind <kind>', 'only of one kind, for example provision-site')
    .option('--site <domain>', 'only those of one site')
    .option('--limit <number>', 'at most so many', '20')
    .addHelpText('after', '\nExample:\n  chom op list --failed')
    .action(action(cli, list));
  op.command('show')
    .argument('<id>')
    .description('one operation: its steps, warnings and outcome')
    .addHelpText('after', '\nExample:\n  chom op show provision-site-abcdefghijkl')
    .action(action(cli, show));
  op.command('watch')
    .argument('<id>')
    .description('follow an operation to its end, and answer what it asks')
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText('after', '\nExample:\n  chom op watch provision-site-abcdefghijkl')
    .action(action(cli, watchToTheEnd));
  op.command('cancel')
    .argument('<id>')
    .description('ask an operation to stop and to take back what it did')
    .addHelpText('after', '\nExample:\n  chom op cancel provision-site-abcdefghijkl')
    .action(action(cli, cancel));
  settleCommand(op, cli);
  retryCommands(op, cli);
  logsCommand(op, cli);
}

async function list(session: Session, options: ListOptions): Promise<void> {
  const limit = /^\d{1,5}$/.test(options.limit) ? Number(options.limit) : 0;
  if (limit < 1) throw failure('InvalidInput', `${quoted(options.limit)} is no number of operations`);
  if (options.failed && options.running) throw failure('InvalidInput', '--failed and --running exclude each other');
  if (options.kind === '') throw failure('InvalidInput', '--kind is empty');
  const domain = options.site === undefined ? null : parseDomain(options.site);
  const { tenant, inventory } = await session.open();
  const filter: OperationFilter = { tenant, limit };
  if (options.kind !== undefined) filter.kind = options.kind;
  if (options.failed) Object.assign(filter, { outcome: 'failed', forgotten: false } satisfies OperationFilter);
  const found = (await matching(inventory.db, filter, domain, options.running === true)).slice(0, limit);
  const { db } = inventory;
  const listed = await Promise.all(
    found.map(async (one) => ({ one, line: one.outcome === null ? await whereabouts(db, one.root) : null })),
  );
  const rows = await Promise.all(
    listed.map(async ({ one, line }) => [
      ...[one.id, await standing(db, one, line), await targetOf(db, one)],
      ...[one.askedAt, tookOf(one), waitsFor(line)],
    ]),
  );
  if (found.length === 0) session.output.say('No operations');
  const text = found.length === 0 ? '' : table(['OPERATION', 'STATUS', 'TARGET', 'ASKED', 'TOOK', 'WAITS FOR'], rows);
  session.output.data({ operations: listed.map(({ one, line }) => ({ ...operationDocument(one), line })) }, text);
}

/** Its status; of one in line, which place it has, of one that was deferred, when it is tried again. */
async function standing(db: Db, operation: Operation, line: Whereabouts | null): Promise<string> {
  if (line) return `waiting, ${line.position} of ${line.waiting}`;
  const status = statusOf(operation);
  if (status === 'delayed') return `delayed until ${operation.startsAt}`;
  const open = status === 'deferred' ? await obligations.stillOpen(db, { operation: operation.id }) : [];
  const owed = open.find(({ name }) => name !== UNDO);
  return owed ? `${status} until ${owed.due}` : status;
}

/** Who is in the way of one in line, and since when it waits. */
function waitsFor(line: Whereabouts | null): string {
  if (!line) return '';
  const [first, ...more] = line.inTheWay;
  const also = more.length > 0 ? ` (+${more.length})` : '';
  return `${first ? `${first.operation}${also}` : 'its turn'} since ${line.since}`;
}

/** A domain may have had several sites, and what has not ended has one of several states. */
async function matching(
  db: Db,
  filter: OperationFilter,
  domain: string | null,
  running: boolean,
): Promise<Operation[]> {
  const { tenant = '' } = filter;
  const all = domain === null ? [] : await sites.list(db, { tenant });
  const ids =
    domain === null
      ? [null]
      : all.filter((one) => [one.domain, ...one.aliases].includes(domain ?? '')).map(({ id }) => id);
  if (domain !== null && ids.length === 0)
    throw failure('NotFound', `There is no site ${domain}`, { next: 'chom site list' });
  const states = running ? (['asked', 'waiting', 'running'] as const) : [null];
  const found: Operation[] = [];
  for (const site of ids) {
    for (const state of states) {
      found.push(
        ...(await operations.list(db, { ...filter, ...(site !== null && { site }), ...(state !== null && { state }) })),
      );
    }
  }
  return found.sort((a, b) => b.askedAt.localeCompare(a.askedAt) || b.id.localeCompare(a.id));
}

async function show(session: Session, text: string): Promise<void> {
  const id = parseOperationId(text);
  const chom = await session.open();
  const { inventory } = chom;
  const operation = await operations.byId(inventory.db, id, chom);
  const { parent, askedAt, startedAt, endedAt, outcome } = operation;
  const { steps, warnings, silence } = await howFar(chom, operation);
  const line = outcome === null ? await whereabouts(inventory.db, id) : null;
  const owed = await obligations.stillOpen(inventory.db, { operation: id });
  const seen = { operation, steps, warnings, question: null, silence: null, children: [] };
  const lines = [
    facts([
      ['operation', id],
      ['kind', operation.kind],
      ['status', statusOf(operation)],
      ['target', await targetOf(inventory.db, operation)],
      ['inside', parent],
      ['waits', line && describeLine(line)],
      ['asked', askedAt],
      ['started', startedAt],
      ['ended', endedAt],
      ['took', tookOf(operation)],
      ['owes', describeOwed(owed)],
    ]),
    ...shownSteps(seen).map((shown) => describeStep(shown, { colour: false, now: Date.now() })),
    ...warnings.map((warning) => `⚠ ${warning}`),
    ...(silence === null ? [] : [`How far it is cannot be said now: ${silence}`]),
    ...(outcome === 'failed' ? [describeProblem(problemOfOperation(operation))] : []),
  ];
  const document = { ...operationDocument(operation), line, warnings, steps };
  session.output.data({ ...document, obligations: owed.map(obligationDocument) }, lines.join('\n'));
}

async function watchToTheEnd(session: Session, text: string, options: Pick<FollowOptions, 'timeout'>): Promise<number> {
  parseTimeout(options.timeout);
  const id = parseOperationId(text);
  const chom = await session.open();
  await operations.byId(chom.inventory.db, id, chom);
  return await follow(session, chom, id, { ...options, tell: async (ended) => await tellLogin(chom, ended) });
}

async function cancel(session: Session, text: string): Promise<void> {
  const id = parseOperationId(text);
  const status = await cancelOperation(await session.open(), id);
  const next = `Asked to stop; it takes back what it did. Next: chom op watch ${id}`;
  session.output.say(status === 'cancelled' ? 'Cancelled before it began.' : next);
  session.output.data({ operation: id, status }, '');
}
