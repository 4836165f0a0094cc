import type { Command } from 'commander';
import * as operations from '../inventory/operations.js';
import { failure } from '../workflows/failures.js';
import { cancelOperation } from './cancel.js';
import { action, type Cli, type Session } from './cli.js';
import { parseDomain } from './domain.js';
import { tellLogin } from './first-login.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions } from './follow.js';
import { logsCommand } from './logs.js';
import { parseLimit, parseOperationId } from './names.js';
import { retryCommands } from './op-retry.js';
import { settleCommand } from './op-settle.js';
import { listOperations, showOperation } from './operation-document.js';

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
  const limit = parseLimit(options.limit, 'operations');
  if (options.failed && options.running) throw failure('InvalidInput', '--failed and --running exclude each other');
  if (options.kind === '') throw failure('InvalidInput', '--kind is empty');
  const { site, failed, running, kind } = options;
  const domain = site === undefined ? undefined : parseDomain(site);
  const wanted = { limit, ...(domain !== undefined && { domain }), ...(kind !== undefined && { kind }) };
  const told = await listOperations(await session.open(), {
    ...wanted,
    failed: failed === true,
    running: running === true,
  });
  if (told.document.operations.length === 0) session.output.say('No operations');
  session.output.data(told.document, told.text);
}

async function show(session: Session, text: string): Promise<void> {
  const id = parseOperationId(text);
  const { document, text: shown } = await showOperation(await session.open(), id);
  session.output.data(document, shown);
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
