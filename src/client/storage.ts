import type { Command } from 'commander';
import * as storages from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import { askYesNo, interactive } from './ask.js';
import { action, type Cli, type Session } from './cli.js';
import { confirm } from './confirm.js';
import { findingsDocument, findingsText } from './findings.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions } from './follow.js';
import { MAINTAIN_OPTIONS, maintenanceIn, readLogin, readText, type MaintainOptions } from './maintain-options.js';
import { parseStorageName } from './names.js';
import { EXIT } from './problem.js';
import { readPrivateKey } from './private-key.js';
import { recoveryKitCommand } from './recovery-kit.js';
import { makeRecoveryKey } from './recovery-key.js';
import { accessOf, loginsOf, storageDocument, tellStorage, triedFindings } from './storage-document.js';
import { storageRotationCommand } from './storage-rotation.js';
import { parseReadData } from './storage-words.js';
import { table } from './text.js';

interface AddOptions extends MaintainOptions {
  repository: string;
  login?: string;
  key?: string;
  hostKey?: string;
  ca?: string;
  allTenants?: boolean;
}

/** `chom storage …` */
export function storageCommand(program: Command, cli: Cli): void {
  const storage = program.command('storage').description('where backups go');
  storage
    .command('add')
    .argument('<name>', 'what you call it')
    .description(
      'let backups go to an SFTP server, a restic REST server, S3 or, for a trial, a directory of each server',
    )
    .requiredOption(
      '--repository <place>',
      'sftp:USER@HOST:/path, sftp:HOST, rest:https://HOST:PORT/, s3:https://HOST/BUCKET or /path',
    )
    .option(
      '--maintain <where>',
      'from where backups are removed and checked: SERVER:/path, the enrolled server that keeps the files (of a REST ' +
        'server its data directory, with .htpasswd; of sftp:HOST any directory that is root’s, where each site gets a ' +
        'user of its own); or controller, over the network from CHOM’s own machine',
    )
    .option(...MAINTAIN_OPTIONS.login)
    .option(...MAINTAIN_OPTIONS.key)
    .option(...MAINTAIN_OPTIONS.repository)
    .option(
      '--login <file>',
      'USER:PASSWORD of a REST server, for all sites; without it each gets a login of its own. ' +
        'Of S3 ACCESS_KEY_ID:SECRET_ACCESS_KEY. - is stdin',
    )
    .option('--key <file>', 'private SSH key that may log in over SFTP; without it CHOM makes one')
    .option('--host-key <fingerprint>', 'SHA256:… of the host key of an SFTP server; without it you are asked')
    .option('--ca <file>', 'PEM of the CA of a REST or S3 server whose certificate is not a public one')
    .option('--all-tenants', 'every tenant may use it')
    .addHelpText(
      'after',
      `
Each site has a repository of its own there. Whether a host that was broken into could delete its backups is found out by
\`storage check\`, and shown by \`storage list\`.

Examples:
  chom storage add store --repository rest:https://store.example:8000/ --maintain store1:/srv/rest
  chom storage add box --repository sftp:backup@box.example:/backups --host-key SHA256:…
  chom storage add own --repository sftp:store.example --maintain store1:/srv/backups
  chom storage add s3 --repository s3:https://s3.example/bucket/chom --login access-key \\
    --maintain controller --maintain-login key-that-may-delete`,
    )
    .action(action(cli, add));
  storage
    .command('list')
    .description('all storages, and whether a host that was broken into could delete its backups there')
    .addHelpText('after', '\nExample:\n  chom storage list --json')
    .action(action(cli, list));
  storage
    .command('show')
    .argument('<name>')
    .description('what is known of a storage, and whose repositories lie there')
    .addHelpText('after', '\nExample:\n  chom storage show store')
    .action(action(cli, show));
  storage
    .command('set')
    .argument('<name>')
    .description('say from where a storage is maintained: there backups are removed and repositories looked through')
    .requiredOption(
      '--maintain <where>',
      'SERVER:/path, the enrolled server and its directory that holds the repositories; or controller: CHOM’s own machine',
    )
    .option(...MAINTAIN_OPTIONS.login)
    .option(...MAINTAIN_OPTIONS.key)
    .option(...MAINTAIN_OPTIONS.repository)
    .addHelpText(
      'after',
      '\nExamples:\n  chom storage set box --maintain store1:/srv/backups, then: chom storage check box\n' +
        '  chom storage set s3 --maintain controller --maintain-login key-that-may-delete',
    )
    .action(action(cli, set));
  storage
    .command('check')
    .argument('<name>')
    .description(
      'write to it, try to delete what was written, and look through its repositories; exit status 1 if any is bad',
    )
    .option('--from <server>', 'the server to try it from, where none keeps it')
    .option(
      '--read-data <what>',
      'of the data of its repositories: all, or part N/M; unless said, the part whose turn it is',
    )
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText('after', '\nExample:\n  chom storage check store')
    .action(action(cli, check));
  storage
    .command('remove')
    .argument('<name>')
    .description('forget a storage that no site has a repository in; what lies there stays')
    .option('--confirm <name>', 'the name once more; without it you are asked')
    .addHelpText('after', '\nExample:\n  chom storage remove store --confirm store')
    .action(action(cli, remove));
  storageRotationCommand(storage, cli);
  recoveryKitCommand(storage, cli);
}

async function add(session: Session, name: string, options: AddOptions): Promise<void> {
  const { addStorage, checkNewStorage, refuseStorage } = await import('./new-storage.js');
  const { repository, login, key, hostKey, ca, allTenants } = options;
  const wanted = {
    ...{ name, repository },
    ...(hostKey !== undefined && { hostKey }),
    ...(await maintenanceIn(session, options)),
    ...(allTenants !== undefined && { allTenants }),
    ...(login !== undefined && { login: await readLogin(session, '--login', login) }),
    ...(ca !== undefined && { ca: await readText('--ca', ca) }),
    ...(key !== undefined && { key: await readPrivateKey(key) }),
  };
  const { location } = checkNewStorage(wanted);
  if (location.ssh && location.ssh.user !== null && hostKey === undefined && !interactive(session.cli))
    throw unasked(name, location.ssh.address);
  const chom = await session.open();
  await refuseStorage(chom, wanted);
  // Passwords of repositories are sealed to it.
  await makeRecoveryKey(chom, (text) => session.output.say(text));
  const added = await addStorage(chom, wanted, async (fingerprint) => {
    const question = `Is ${fingerprint} the host key of ${location.ssh?.address}?`;
    return (await askYesNo(session.cli, question)) === true;
  });
  if (added.kind === 'sftp' && added.loginPublic !== null && key === undefined) {
    session.output.say(`Let this key in as ${location.ssh?.user}:\n  ${added.loginPublic}`);
  }
  session.output.say(`Next: chom storage check ${name}`);
  const { document, text } = await tellStorage(chom, added);
  session.output.data(document, text);
}

/** Without a terminal nobody can say that a host key is right. */
function unasked(name: string, address: string) {
  return failure(
    'InvalidInput',
    `The host key of ${address} is not known, and without a terminal you cannot be asked`,
    {
      cause: 'whoever answers at that address first would get every backup',
      next: `chom storage add ${name} … --host-key SHA256:…, as ssh-keygen -l -f prints it on the storage`,
    },
  );
}

async function list(session: Session): Promise<void> {
  const chom = await session.open();
  const found = await storages.list(chom.inventory.db, { tenant: chom.tenant });
  if (found.length === 0) session.output.say('No storages yet. Next: chom storage add NAME --repository PLACE');
  const rows = found.map((one) => [one.name, loginsOf(one), accessOf(one), one.probedAt ?? '', one.url]);
  const text = found.length === 0 ? '' : table(['NAME', 'LOGIN', 'BACKUPS ARE', 'CHECKED', 'PLACE'], rows);
  session.output.data({ storages: await Promise.all(found.map((one) => storageDocument(chom, one))) }, text);
}

async function show(session: Session, name: string): Promise<void> {
  parseStorageName(name);
  const chom = await session.open();
  const storage = await storages.byName(chom.inventory.db, chom.tenant, name);
  const { document, text } = await tellStorage(chom, storage);
  session.output.data(document, text);
}

async function set(session: Session, name: string, options: MaintainOptions): Promise<void> {
  const { keepStorage } = await import('./keep-storage.js');
  const chom = await session.open();
  const kept = await keepStorage(chom, name, await maintenanceIn(session, options));
  session.output.say(`Next: chom storage check ${name}`);
  const { document, text } = await tellStorage(chom, kept);
  session.output.data(document, text);
}

async function remove(session: Session, name: string, options: { confirm?: string }): Promise<void> {
  parseStorageName(name);
  await confirm(session, name, options.confirm);
  const { inventory, tenant } = await session.open();
  const { id } = await storages.byName(inventory.db, tenant, name);
  await inventory.transaction(async (trx) => await storages.remove(trx, id));
  session.output.data({ removed: name }, '');
}

interface CheckOptions extends FollowOptions {
  from?: string;
  wait: boolean;
  readData?: string;
}

async function check(session: Session, name: string, options: CheckOptions): Promise<number> {
  parseTimeout(options.timeout);
  const readData = options.readData === undefined ? null : parseReadData(options.readData);
  parseStorageName(name);
  const { checkStorage, lookThroughStorage } = await import('./check-storage.js');
  const chom = await session.open();
  const { operation, storage } = await checkStorage(chom, name, options);
  let bad = false;
  const status = await follow(session, chom, operation, {
    ...options,
    needsWorker: true,
    tell: async () => {
      const tried = await storages.byId(chom.inventory.db, storage.id);
      const findings = [...triedFindings(tried), ...(await lookThroughStorage(chom, storage, readData)).findings];
      bad = findings.some(({ state }) => state === 'wrong');
      const told = await tellStorage(chom, tried);
      const document = { ...told.document, ok: !bad, checks: findingsDocument(findings) };
      return { document, text: `${told.text}\n\n${findingsText(findings)}` };
    },
  });
  return status === EXIT.ok && bad ? EXIT.failed : status;
}
