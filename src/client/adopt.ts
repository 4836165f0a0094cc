import type { Command } from 'commander';
import * as servers from '../inventory/servers.js';
import { adoptionPlan } from '../workflows/plans.js';
import { failure } from '../workflows/failures.js';
import { askFor } from './ask-for.js';
import { action, type Cli, type Session } from './cli.js';
import { confirm } from './confirm.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions } from './follow.js';
import { parseServerName } from './names.js';
import type { Chom } from './open.js';

/** `chom server adopt` */
export function adoptCommand(server: Command, cli: Cli): void {
  server
    .command('adopt')
    .argument('<name>')
    .description('take a server over from another installation of CHOM, or after its inventory was restored')
    .option('--confirm <name>', 'the name again, without a terminal')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText('after', '\nExample:\n  chom server adopt web1 --confirm web1')
    .action(action(cli, adopt));
}

type AdoptOptions = FollowOptions & { confirm?: string; wait: boolean };

async function adopt(session: Session, text: string, options: AdoptOptions): Promise<number> {
  parseTimeout(options.timeout);
  const name = parseServerName(text);
  await confirm(session, name, options.confirm);
  const chom = await session.open();
  return await follow(session, chom, await adoptServer(chom, name, options), { ...options, needsWorker: true });
}

/**
 * Asks for a server to be taken over: it accepts this installation alone from then on.
 * @throws NotFound; Conflict its host key was never pinned; Busy; TemporalUnavailable
 */
export async function adoptServer(chom: Chom, name: string, { wait = true }: { wait?: boolean } = {}): Promise<string> {
  const { tenant, inventory } = chom;
  const server = await servers.byName(inventory.db, tenant, name);
  if (server.hostKeyFingerprint === null) {
    throw failure('Conflict', `The host key of ${name} was never confirmed`, {
      server: name,
      next: `chom server add ${name} --host ${server.address} --key FILE`,
    });
  }
  return await askFor(chom, {
    kind: 'adopt-server',
    input: adoptionPlan.parse({ server: server.id, tenant, name }),
    summary: `Adopt server ${name}`,
    tenant,
    server: server.id,
    serverName: name,
    exclusive: true,
    wait,
  });
}
