import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { findController } from '../inventory/keys.js';
import * as keyIds from '../inventory/key-ids.js';
import * as servers from '../inventory/servers.js';
import { openKeyring } from '../inventory/keyring-file.js';
import { action, type Cli, type Session } from './cli.js';
import { inventoryLocation } from '../inventory/location.js';
import { makeRecoveryKey } from './recovery-key.js';
import { age, facts, size } from './text.js';

/** `chom recovery-kit` */
export function controlPlaneKitCommand(program: Command, cli: Cli): void {
  program
    .command('recovery-kit')
    .description(
      'what has to be kept away from this machine to have CHOM itself back when it is lost; makes the recovery key',
    )
    .option('--from <dir>', 'where backups of CHOM lie; backups/ in the data directory unless said')
    .addHelpText('after', '\nExample:\n  chom recovery-kit >kit.txt')
    .action(action(cli, recoveryKit));
}

/** A backup that lies on this machine. */
interface Found {
  file: string;
  bytes: number;
  at: string;
  encrypted: boolean;
  /** It is encrypted to a recovery key that is not the present one. */
  foreign: boolean;
}

async function recoveryKit(session: Session, { from }: { from?: string }): Promise<void> {
  const { withoutPassword } = await import('../plane/settings.js');
  const { backupDirectory } = await import('../plane/control-plane.js');
  const chom = await session.open();
  const { config, inventory } = chom;
  await makeRecoveryKey(chom, (line) => session.output.say(line));
  const { recovery = null } = await openKeyring(config.home);
  const found = await backupsIn(from ?? backupDirectory(config.home), recovery);
  const [newest] = found;
  const where = inventoryLocation(config);
  const database = 'url' in where ? withoutPassword(where.url) : where.file;
  const controller = await findController(inventory.db);
  const known = (await servers.list(inventory.db)).map(({ name, address, port }) => ({ name, address, port }));
  const { current, ages } = chom.keyring;
  const inUse = (await keyIds.list(inventory.db)).find(({ id }) => id === current);
  const since = ages.find(({ id }) => id === current)?.created ?? '';
  // Its file may be newer than the key and hold the one before: what it holds was recorded as it was made.
  const outdated = newest !== undefined && ages.length > 1 && (inUse?.backedUpAt ?? null) === null;
  if (outdated) {
    session.output.say(
      'The newest backup is from before the master key was changed. Next: chom backup database --encrypt',
    );
  }
  if (newest?.foreign)
    session.output.say('The newest backup is encrypted to another recovery key than the present one');
  if (!newest) session.output.say('There is no backup yet. Next: chom backup database --encrypt --test');
  const restore = 'chom restore-control-plane FILE --recovery-key KEYFILE';
  const text = facts([
    ['controller', controller],
    ['database', database],
    ['recovery key', recovery],
    ['master key', `${current}, made ${since}; where chom key list names another one in use, this text is old`],
    [
      'newest backup',
      newest ? `${newest.file}, ${size(newest.bytes)}, ${age(Date.now() - Date.parse(newest.at))} old` : 'none',
    ],
    ['keep', 'a copy of the newest backup; the private half of the recovery key, which was shown once; this text'],
    ['restore', `on a machine with this CHOM and nothing in CHOM_HOME: ${restore}`],
    ['then', ['chom dev (or chom worker)', ...known.map(({ name }) => `chom server adopt ${name}`)].join('; ')],
  ]);
  session.output.data(
    {
      controller,
      database,
      recoveryKey: recovery,
      masterKey: current,
      outdated,
      backups: found,
      servers: known,
      restore,
    },
    text,
  );
}

/** The newest first; what does not begin like a backup is none. */
async function backupsIn(directory: string, recovery: string | null): Promise<Found[]> {
  const { readHeader } = await import('../plane/backup-file.js');
  const found: Found[] = [];
  for (const name of await readdir(directory).catch(() => [])) {
    const file = join(directory, name);
    const header = name.startsWith('control-plane-') ? await readHeader(file).catch(() => null) : null;
    if (!header) continue;
    const { size: bytes, mtime } = await stat(file);
    const foreign = header.encrypted && header.recovery !== recovery;
    found.push({ file, bytes, at: mtime.toISOString(), encrypted: header.encrypted, foreign });
  }
  return found.toSorted((a, b) => b.at.localeCompare(a.at));
}
