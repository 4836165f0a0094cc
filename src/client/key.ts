import type { Command } from 'commander';
import * as keyIds from '../inventory/key-ids.js';
import { sealedBy } from '../inventory/reseal.js';
import { action, type Cli, type Session } from './cli.js';
import { confirm } from './confirm.js';
import { parseTimeout } from './follow.js';
import type { Chom } from './open.js';
import { EXIT } from './problem.js';
import { facts, table } from './text.js';

/** `chom key …` */
export function keyCommand(program: Command, cli: Cli): void {
  const key = program.command('key').description('the master keys that seal what CHOM knows');
  key
    .command('list')
    .description('the keys of the keyring, and what each has sealed; never a key itself')
    .addHelpText('after', '\nExample:\n  chom key list --json')
    .action(action(cli, list));
  key
    .command('rotate')
    .description('make another master key, and seal everything in the inventory with it')
    .option('--timeout <seconds>', 'so long it waits for workers that do not use the new key (120)')
    .addHelpText(
      'after',
      `
Workers that share this data directory take the key up by themselves; those that have a keyring.json of their own have to be
given this one, and are waited for. Ended on the way, it goes on when it is run again. The old key stays for the histories
in Temporal, until chom key retire. Backups of CHOM itself that were made before hold the old key alone: make one afterwards.

Example:
  chom key rotate`,
    )
    .action(action(cli, rotate));
  key
    .command('retire')
    .argument('<id>', 'of a key that was replaced')
    .description('throw a replaced key away, once no row and no workflow needs it')
    .option('--confirm <id>', 'the id again, without being asked')
    .addHelpText('after', '\nExample:\n  chom key retire k0123456789ab --confirm k0123456789ab')
    .action(action(cli, retire));
}

async function rotate(session: Session, options: { timeout?: string }): Promise<number> {
  const patience = parseTimeout(options.timeout);
  const { rotateKey } = await import('./rotate-key.js');
  const { output } = session;
  const chom = await session.open();
  const { key, kept, values, unreadable } = await rotateKey(chom, {
    say: (line) => output.say(line),
    ...(patience !== null && { patienceMilliseconds: patience }),
  });
  for (const { column, key: row, cause } of unreadable) output.say(`${column} of ${row} stays as it was: ${cause}`);
  const next = 'chom backup database --encrypt: no backup of CHOM itself holds this key yet';
  const text = facts([
    ['key', key],
    ['sealed anew', `${values} values`],
    ['kept', `${kept.join(', ')}, for histories`],
    ['next', next],
  ]);
  output.data({ key, kept, values, unreadable }, text);
  return unreadable.length > 0 ? EXIT.partly : EXIT.ok;
}

async function retire(session: Session, id: string, options: { confirm?: string }): Promise<void> {
  const { refuseNeededKey, retireKey } = await import('./retire-key.js');
  const chom = await session.open();
  await refuseNeededKey(chom, id);
  await confirm(session, id, options.confirm);
  await retireKey(chom, id);
  session.output.data({ key: id, retired: true }, `Key ${id} is gone`);
}

async function list(session: Session): Promise<void> {
  const chom = await session.open();
  const keys = await described(chom);
  const rows = keys.map(({ id, created, state, sealed, backedUpAt }) => {
    return [
      id,
      created.slice(0, 10),
      state,
      String(sealed),
      backedUpAt === null ? 'no' : `since ${backedUpAt.slice(0, 10)}`,
    ];
  });
  session.output.data({ keys }, table(['KEY', 'MADE', 'STATE', 'SEALS', 'IN A BACKUP'], rows));
}

async function described({ inventory: { db }, keyring }: Chom) {
  const known = new Map((await keyIds.list(db)).map((one) => [one.id, one]));
  const { current, rotating } = keyring;
  return await Promise.all(
    keyring.ages.map(async ({ id, created }) => {
      const sealed = Object.values(await sealedBy(db, id)).reduce((sum, n) => sum + n, 0);
      const { retiredAt = null, backedUpAt = null } = known.get(id) ?? {};
      const old = retiredAt === null ? 'replaced' : 'retired';
      const state = id === current ? 'in use' : id === rotating ? 'next' : old;
      return { id, created, state, sealed, backedUpAt };
    }),
  );
}
