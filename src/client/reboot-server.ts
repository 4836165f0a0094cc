import type { Command } from 'commander';
import * as events from '../inventory/events.js';
import type { Operation } from '../inventory/operations.js';
import { rebootPlan } from '../workflows/reboot-plan.js';
import { askFor, type Asking } from './ask-for.js';
import { action, type Cli, type Session } from './cli.js';
import { confirm } from './confirm.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions, type Told } from './follow.js';
import { parseServerName } from './names.js';
import type { Chom } from './open.js';
import { expectEnrolled } from './rotate-credentials.js';
import { newOperationId } from './submit.js';
import { facts } from './text.js';

/** A restart as it is wanted. */
export interface Reboot extends Asking {
  /** The server's name. */
  server: string;
  /** Only where updates want it. */
  ifPending?: boolean;
}

interface Options extends FollowOptions {
  ifPending?: boolean;
  confirm?: string;
  wait: boolean;
}

/** `chom server reboot` */
export function rebootCommand(server: Command, cli: Cli): void {
  server
    .command('reboot')
    .argument('<name>')
    .description('restart a server once nothing is at work on it, and see that all that worked before does again')
    .option('--if-pending', 'only where updates want it restarted')
    .option('--confirm <name>', 'the name once more; without it you are asked')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText(
      'after',
      `
What is at work on the server ends first, and what comes waits. A site that answered before and does not afterwards is named,
and the operation fails.

Examples:
  chom server reboot web1 --confirm web1
  chom server reboot web1 --if-pending --confirm web1`,
    )
    .action(action(cli, reboot));
}

async function reboot(session: Session, name: string, options: Options): Promise<number> {
  parseServerName(name);
  parseTimeout(options.timeout);
  await confirm(session, name, options.confirm);
  const chom = await session.open();
  const { ifPending = false, wait } = options;
  const operation = await rebootServer(chom, { server: name, ifPending, wait });
  return await follow(session, chom, operation, {
    ...options,
    needsWorker: true,
    tell: async (ended) => await tell(chom, name, ended),
  });
}

/**
 * Asks for a server to be restarted, alone on it.
 * @throws InvalidInput; NotFound no such server; Conflict it is not enrolled; Busy; TemporalUnavailable
 */
export async function rebootServer(
  chom: Chom,
  { server: given, ifPending = false, wait, operation }: Reboot,
): Promise<string> {
  const { id: server, name, tenant } = await expectEnrolled(chom, given);
  const input = rebootPlan.parse({ tenant, server, name, ifPending });
  const what = { kind: 'reboot-server', input, summary: `Restart server ${name}`, exclusive: true } as const;
  const request = { ...what, tenant, server, serverName: name, ...(wait !== undefined && { wait }) };
  return await askFor(chom, request, operation ?? newOperationId(what.kind));
}

async function tell({ inventory }: Chom, server: string, { id }: Operation): Promise<Told> {
  const emitted = await events.list(inventory.db, { operation: id });
  const data = emitted.find(({ type }) => type === 'ServerRebooted')?.data;
  const { answering = [], silent = [] } = (data ?? {}) as { answering?: string[]; silent?: string[] };
  const text = facts([
    ['server', server],
    ['restarted', data === undefined ? 'no' : 'yes'],
    ['answering', answering.join(', ')],
    ['silent', silent.join(', ')],
  ]);
  return { document: { server, restarted: data !== undefined, answering, silent }, text };
}
