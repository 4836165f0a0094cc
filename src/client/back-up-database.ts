import type { Command } from 'commander';
import { inventoryLocation } from '../inventory/location.js';
import * as storages from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import type { SourceDatabase } from '../plane/source-database.js';
import type { Made } from '../plane/make-backup.js';
import { action, type Cli, type Session } from './cli.js';
import { parseStorageName } from './names.js';
import type { Chom } from './open.js';
import { readRecoveryKey } from './recovery-key.js';
import { duration, facts, size } from './text.js';

interface BackUpOptions {
  to?: string;
  encrypt?: boolean;
  /** A file: that one is tested, and none is made. */
  test?: true | string;
  recoveryKey?: string;
  upload?: string;
  source?: string;
  /** A file, which is taken apart into `to`; none is made. */
  extract?: string;
  detach?: boolean;
}

/** `chom backup database`, and by its other name `chom backup:database` */
export function backUpDatabaseCommands(program: Command, backup: Command, cli: Cli): void {
  for (const command of [backup.command('database'), program.command('backup:database', { hidden: true })]) {
    command
      .description(
        "back up CHOM's own data: the inventory, its keyring (sealed to the recovery key) and settings, in one file",
      )
      .option('--to <dir>', 'where it goes; backups/ in the data directory unless said, made when missing')
      .option('--encrypt', 'encrypt all of it to the recovery key')
      .option('--test [file]', 'restore it into a scratch database and compare; with FILE that one, and make none')
      .option('--recovery-key <file>', 'to test an encrypted FILE: the private half of the recovery key')
      .option('--upload <storage>', 'lay a copy down in an SFTP or S3 storage, and read it back')
      .option('--extract <file>', 'take a backup apart into --to DIR, a file for each part, and make none')
      .option(
        '--source <url>',
        'another database instead, none of CHOM: mysql://USER@HOST/DATABASE (CHOM_SOURCE_PASSWORD)',
      )
      .option(
        '--detach',
        'leave it to a worker, which encrypts, tests and uploads it, and removes those that are kept no more; return at once',
      )
      .addHelpText(
        'after',
        `
Without --detach it needs neither Temporal nor a worker. What comes back from it, and how: chom recovery-kit.

Examples:
  chom backup database --encrypt --test --upload box
  chom backup database --test /backups/control-plane-20261126T030000000Z.chom-sealed --recovery-key key.txt`,
      )
      .action(action(cli, backUp));
  }
}

async function backUp(session: Session, options: BackUpOptions): Promise<void> {
  const { encrypt = false, test = false, upload, to } = options;
  if (upload !== undefined) parseStorageName(upload);
  if (options.extract !== undefined) return await extract(session, options.extract, options);
  if (typeof test === 'string') return await testFile(session, test, options);
  if (options.recoveryKey !== undefined) {
    throw failure(
      'InvalidInput',
      '--recovery-key is for --test FILE alone: what is made here is tested with its own key',
    );
  }
  if (options.detach === true) return await ask(session, options);
  const chom = await session.open();
  const { inventory } = chom;
  const storage = upload === undefined ? null : await storages.byName(inventory.db, chom.tenant, upload);
  const { backUpControlPlane, backUpTo } = await import('../plane/control-plane.js');
  const began = Date.now();
  const order = { encrypt, test, storage, ...(to !== undefined && { to }) };
  const unsent = (file: string) => session.output.say(`It lies on this machine alone: ${file}`);
  if (options.source !== undefined) {
    const what = { database: await databaseOf(session, chom, options), belongings: null };
    const made = await backUpTo(chom, order, what, unsent);
    return tell(session, made, { uploaded: made.uploaded, milliseconds: Date.now() - began });
  }
  const made = await backUpControlPlane({ ...chom, environment: session.environment }, order, unsent);
  await inventory.transaction(made.record);
  if (!made.keyring) {
    session.output.say('There is no recovery key yet, so the keyring is not in it. Next: chom recovery-kit');
  }
  tell(session, made, { uploaded: made.uploaded, milliseconds: Date.now() - began });
}

/** A worker makes it. */
async function ask(session: Session, options: BackUpOptions): Promise<void> {
  const { to, test, source, upload } = options;
  if (to !== undefined || test === true || source !== undefined) {
    throw failure('InvalidInput', '--detach leaves it to a worker: --to, --test and --source do not go with it', {
      cause: 'such a backup is always encrypted and tested, and lies in the data directory of the worker',
      next: 'chom backup database --detach',
    });
  }
  const { backUpChom } = await import('./back-up-chom.js');
  const chom = await session.open();
  const operation = await backUpChom(chom, upload === undefined ? {} : { storage: upload });
  session.output.say(`Asked for. Follow it with: chom op watch ${operation}`);
  session.output.data({ operation, status: 'running' }, operation);
}

function tell(
  session: Session,
  made: Made,
  { uploaded, milliseconds }: { uploaded: string | null; milliseconds: number },
) {
  const { file, name, bytes, sha256, encrypted, tested, keyring, manifest } = made;
  const rows = manifest.tables.reduce((sum, table) => sum + table.rows, 0);
  const { kind } = manifest.database;
  const text = facts([
    ['name', name],
    ['file', file],
    ['size', size(bytes)],
    ['sha256', sha256],
    ['database', `${kind}, ${manifest.tables.length} tables, ${rows} rows`],
    ['keyring', keyring ? 'in it, sealed to the recovery key' : 'not in it'],
    ['encrypted', encrypted ? 'yes' : 'no'],
    ['tested', tested ? 'restored, and compared table by table' : 'no'],
    ['uploaded', uploaded ?? 'no'],
    ['took', duration(milliseconds)],
  ]);
  const about = { name, file, bytes, sha256, durationMilliseconds: milliseconds, encrypted, tested, keyring, uploaded };
  session.output.data({ ...about, database: kind, tables: manifest.tables.length, rows }, text);
}

async function testFile(session: Session, file: string, options: BackUpOptions): Promise<void> {
  const { recoveryKey, encrypt, upload, to } = options;
  if (encrypt === true || upload !== undefined || to !== undefined) {
    throw failure('InvalidInput', '--test FILE makes no backup: --encrypt, --upload and --to do not go with it', {
      next: `chom backup database --test ${file}`,
    });
  }
  const { testBackup } = await import('../plane/make-backup.js');
  const opener = recoveryKey === undefined ? null : { recoveryKey: await readRecoveryKey(recoveryKey) };
  const chom = await session.open();
  const database = await databaseOf(session, chom, options);
  const { madeAt, tables } = await testBackup(file, { scratch: chom.config.home, database, opener });
  const rows = tables.reduce((sum, table) => sum + table.rows, 0);
  const document = { file, tested: true, madeAt, database: database.kind, tables: tables.length, rows };
  session.output.data(document, `${file} of ${madeAt} is whole: ${tables.length} tables, ${rows} rows`);
}

async function extract(session: Session, file: string, { to, recoveryKey }: BackUpOptions): Promise<void> {
  if (to === undefined) {
    throw failure('InvalidInput', '--extract wants --to DIR, a directory for the parts', {
      next: `chom backup database --extract ${file} --to DIR`,
    });
  }
  const { extractBackup } = await import('../plane/make-backup.js');
  const opener = recoveryKey === undefined ? null : { recoveryKey: await readRecoveryKey(recoveryKey) };
  const { madeAt, database, parts } = await extractBackup(file, to, opener);
  const names = parts.map(({ name }) => name);
  session.output.data({ file, to, madeAt, database: database.kind, parts: names }, `${to}: ${names.join(', ')}`);
}

async function databaseOf(
  { environment }: Session,
  { config }: Chom,
  { source }: BackUpOptions,
): Promise<SourceDatabase> {
  const { foreignDatabase, inventoryDatabase } = await import('../plane/database-copy.js');
  if (source === undefined) return inventoryDatabase(inventoryLocation(config), environment);
  return foreignDatabase(source, config.sourcePassword, environment);
}
