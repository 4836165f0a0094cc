import type { Command } from 'commander';
import * as servers from '../inventory/servers.js';
import { failure } from '../workflows/failures.js';
import { interactive } from './ask.js';
import { adoptCommand } from './adopt.js';
import { checkCommand } from './check-command.js';
import { action, type Cli, type Session } from './cli.js';
import { confirm } from './confirm.js';
import { tellFindings } from './findings.js';
import { follow, FOLLOW_OPTIONS, parseTimeout } from './follow.js';
import { parsePort, parseServerName, parseTag } from './names.js';
import type { Chom } from './open.js';
import { readPrivateKey } from './private-key.js';
import { optimiseCommand } from './optimise-command.js';
import { rebootCommand } from './reboot-server.js';
import { makeRecoveryKey } from './recovery-key.js';
import { listServers, showServer, tellServer } from './server-document.js';
import { serverTagCommands } from './tag.js';

interface AddOptions {
  host?: string;
  port?: string;
  user?: string;
  key?: string;
  hostKey?: string;
  smtpRelay?: string;
  wait: boolean;
  firewall?: boolean;
  updates?: boolean;
  swap?: boolean;
  logrotate?: boolean;
  detach?: boolean;
  timeout?: string;
}

/** `chom server …` */
export function serverCommand(program: Command, cli: Cli): void {
  const server = program.command('server').description('servers that sites live on');
  adoptCommand(server, cli);
  server
    .command('add')
    .argument('<name>', 'what you call it')
    .description('enrol a Debian or Ubuntu server, or take an enrolment up again')
    .option('--host <address>', 'IP address or host name; of an enrolled server it is known')
    .option('--port <port>', 'SSH port (22)')
    .option('--user <name>', 'root, or a user with passwordless sudo (root)')
    .option(
      '--key <file>',
      'private SSH key that may log in, without passphrase; an enrolled server has one of its own',
    )
    .option('--host-key <fingerprint>', 'SHA256:… of the host key; without it you are asked')
    .option('--smtp-relay <host[:port]>', 'takes the mail that its sites send, without a login; none takes it away')
    // Each before its opposite: then nothing said is nothing, and not a yes.
    .option('--firewall', 'a firewall after all, where there was to be none')
    .option('--no-firewall', 'no firewall of CHOM; else SSH, 80, 443 and what others serve there stay open')
    .option('--updates', 'updates after all')
    .option('--no-updates', 'no security updates by themselves')
    .option('--swap', 'a swap file after all')
    .option('--no-swap', 'no swap file where there is less than 2 GB of memory')
    .option('--logrotate', 'rotation of logs after all')
    .option('--no-logrotate', 'no rule of CHOM that rotates the logs of sites')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText(
      'after',
      `
Once enrolled, the name alone puts right what was changed on the server.

Examples:
  chom server add web1 --host 203.0.113.10 --key ~/.ssh/id_ed25519
  chom server add web1 --no-firewall`,
    )
    .action(action(cli, add));
  server
    .command('list')
    .description('all servers')
    .option('--tag <tag...>', 'only those that have it, or all of these')
    .addHelpText('after', '\nExample:\n  chom server list --json')
    .action(action(cli, list));
  server
    .command('show')
    .argument('<name>')
    .description('what is known of a server')
    .addHelpText('after', '\nExample:\n  chom server show web1')
    .action(action(cli, show));
  server
    .command('doctor')
    .argument('<name>')
    .description(
      'look at a server, and say what is wrong with the command that mends it; exit status 1 when something is',
    )
    .addHelpText('after', '\nExample:\n  chom server doctor web1')
    .action(action(cli, doctor));
  serverTagCommands(server, cli);
  checkCommand(server, cli);
  rebootCommand(server, cli);
  optimiseCommand(server, cli);
  server
    .command('remove')
    .argument('<name>')
    .description('take CHOM off a server that has no sites; its packages, and what others keep there, stay')
    .option('--confirm <name>', 'the name once more; without it you are asked')
    .option(
      '--gone',
      'it no longer exists: forget it, its sites, and what is at work on it, without touching it; backups stay',
    )
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText('after', '\nExample:\n  chom server remove web1 --confirm web1')
    .action(action(cli, remove));
}

async function doctor(session: Session, name: string): Promise<number> {
  const chom = await session.open();
  const { inspectServer } = await import('./inspect.js');
  const report = await inspectServer(chom, name);
  return tellFindings(session.output, report.findings, { server: name });
}

interface RemoveOptions {
  confirm?: string;
  gone?: boolean;
  wait: boolean;
  detach?: boolean;
  timeout?: string;
}

async function remove(session: Session, name: string, options: RemoveOptions): Promise<number> {
  parseServerName(name);
  parseTimeout(options.timeout);
  await confirm(session, name, options.confirm);
  const chom = await session.open();
  const { removeServer } = await import('./remove-server.js');
  const { operation, server } = await removeServer(chom, { name, gone: options.gone === true, wait: options.wait });
  return await follow(session, chom, operation, {
    ...options,
    needsWorker: true,
    tell: async () => await tellServer(chom, await servers.byId(chom.inventory.db, server.id)),
  });
}

async function add(session: Session, name: string, options: AddOptions): Promise<number> {
  const { host, user, hostKey, smtpRelay, key, firewall, updates, swap, logrotate } = options;
  parseTimeout(options.timeout);
  const { checkNewServer, enrolServer, findEnrolled } = await import('./new-server.js');
  const given = {
    name,
    wait: options.wait,
    ...(host !== undefined && { host }),
    ...(options.port !== undefined && { port: parsePort(options.port) }),
    ...(user !== undefined && { user }),
    ...(hostKey !== undefined && { hostKey }),
    ...(smtpRelay !== undefined && { smtpRelay }),
    protection: {
      ...(firewall !== undefined && { firewall }),
      ...(updates !== undefined && { updates }),
      ...(swap !== undefined && { swap }),
      ...(logrotate !== undefined && { logrotate }),
    },
  };
  checkNewServer(given);
  const wanted = { ...given, ...(key !== undefined && { key: await readPrivateKey(key) }) };
  const chom = await session.open();
  await findEnrolled(chom, wanted);
  if (hostKey === undefined && !interactive(session.cli)) await refuseUnasked(chom, name);
  // The first secret whose loss would lose access is about to be made.
  await makeRecoveryKey(chom, (text) => session.output.say(text));
  const { operation, server } = await enrolServer(chom, wanted);
  return await follow(session, chom, operation, {
    ...options,
    needsWorker: true,
    tell: async () => await tellServer(chom, await servers.byId(chom.inventory.db, server.id)),
  });
}

/** Without a terminal nobody can say that a host key is right, unless it was said before. */
async function refuseUnasked({ inventory, tenant }: Chom, name: string): Promise<void> {
  const known = (await servers.list(inventory.db, { tenant })).find((server) => server.name === name);
  if (known?.hostKeyFingerprint) return;
  throw failure('InvalidInput', `The host key of ${name} is not known, and without a terminal you cannot be asked`, {
    cause: 'whoever answers at that address first would be trusted with everything',
    next: 'add --host-key SHA256:…, as ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub prints it on the server',
  });
}

async function list(session: Session, { tag = [] }: { tag?: string[] }): Promise<void> {
  const tags = tag.map((one) => parseTag(one));
  const { document, text } = await listServers(await session.open(), { tags });
  if (document.servers.length === 0 && tags.length > 0) session.output.say('No server has them');
  else if (document.servers.length === 0)
    session.output.say('No servers yet. Next: chom server add NAME --host ADDRESS --key FILE');
  session.output.data(document, text);
}

async function show(session: Session, name: string): Promise<void> {
  parseServerName(name);
  const { document, text } = await showServer(await session.open(), name);
  session.output.data(document, text);
}
