import type { Command } from 'commander';
import { readConfig } from '../config.js';
import type { Restored } from '../plane/restore.js';
import { action, type Cli, type Session } from './cli.js';
import { refuseOpenHome } from './open.js';
import { inventoryLocation } from '../inventory/location.js';
import { readRecoveryKey } from './recovery-key.js';
import { facts, printable } from './text.js';

/** `chom restore-control-plane` */
export function restoreControlPlaneCommand(program: Command, cli: Cli): void {
  program
    .command('restore-control-plane')
    .argument('<file>', 'a backup that `chom backup database` made')
    .description('have CHOM itself back on a machine that has nothing of it: its inventory, keys and settings')
    .requiredOption('--recovery-key <file>', 'the private half of the recovery key, as it was shown once')
    .addHelpText(
      'after',
      `
CHOM_HOME has to hold no inventory yet, and CHOM_DATABASE_URL, where it was set, has to name an empty database. Temporal's own
data is not needed: what was under way then ends as failed, and what is owed is tried again.

Example:
  chom restore-control-plane control-plane-20261126T030000000Z.chom-sealed --recovery-key key.txt`,
    )
    .action(action(cli, restore));
}

async function restore(session: Session, file: string, options: { recoveryKey: string }): Promise<void> {
  const recoveryKey = await readRecoveryKey(options.recoveryKey);
  const config = readConfig(session.environment);
  const { restoreControlPlane } = await import('../plane/restore.js');
  const where = inventoryLocation(config);
  const restored = await restoreControlPlane(file, {
    ...{ home: config.home, where, recoveryKey, environment: session.environment },
  });
  await refuseOpenHome(config.home);
  tell(session, config.home, restored);
}

function tell(session: Session, home: string, { manifest, settings, ended, owed, servers }: Restored): void {
  const { controller, madeAt, tables } = manifest;
  const adopt = servers.map(({ name, tenant }) => {
    return `chom ${tenant === 'default' ? '' : `--tenant ${tenant} `}server adopt ${name} --confirm ${name}`;
  });
  const unset = Object.entries(settings).filter(([name, value]) => session.environment[name] !== value);
  for (const [name, value] of unset)
    session.output.say(`Set ${name}=${printable(value)} (without its password, if it had one)`);
  for (const { id, outcome } of ended)
    session.output.say(`${id} had no outcome: it ends as ${outcome}. See: chom op show ${id}`);
  const next = ['chom dev (or chom worker)', ...adopt];
  const text = facts([
    ['data', home],
    ['controller', controller],
    ['as of', madeAt],
    ['tables', `${tables.length}, compared`],
    ['ended', `${ended.length} operations that had no outcome`],
    ['owed', `${owed}, tried again by the next worker`],
    ...next.map((command, n) => [`next ${n + 1}`, command] as const),
  ]);
  const rows = tables.reduce((sum, table) => sum + table.rows, 0);
  const document = { home, controller, madeAt, tables: tables.length, rows, ended, owed, settings, next };
  session.output.data(document, text);
}
