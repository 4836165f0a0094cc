import type { Command } from 'commander';
import * as findings from '../inventory/findings.js';
import type { Server } from '../inventory/servers.js';
import { failure } from '../workflows/failures.js';
import { action, type Cli, type Session } from './cli.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions, type Told } from './follow.js';
import { parseServerName } from './names.js';
import type { Chom } from './open.js';
import { EXIT } from './problem.js';
import { findingDocument, findingsText } from './server-health.js';

interface Options extends FollowOptions {
  all?: boolean;
}

/** `chom server check` */
export function checkCommand(server: Command, cli: Cli): void {
  server
    .command('check')
    .argument('[name]')
    .description('look at a server and its sites, and keep what is wrong until it is gone: it is told to webhooks once')
    .option('--all', 'every enrolled server')
    .option(...FOLLOW_OPTIONS.detach)
    .option('--timeout <seconds>', 'of each server; the check goes on')
    .addHelpText(
      'after',
      `
Exit status 1 when something serious is wrong: CHOM does not get in, a disk is full, a service or a site is down, a
certificate or a backup is late. Warnings alone are 0. With --all it is 3 when a server could not be checked and others were.
What “chom server doctor” says of this moment is not kept, and all of it counts.

Examples:
  chom server check web1
  chom server check --all --json`,
    )
    .action(action(cli, check));
}

async function check(session: Session, given: string | undefined, options: Options): Promise<number> {
  const { all = false, ...following } = options;
  parseTimeout(options.timeout);
  if (given !== undefined) parseServerName(given);
  if ((given === undefined) === !all) {
    throw failure('InvalidInput', all ? 'A name and --all do not go together' : 'Which server is meant is not said', {
      next: 'chom server check NAME, or --all',
    });
  }
  const chom = await session.open();
  const { checkedServers, checkServer } = await import('./check-server.js');
  let serious = false;
  const tell = async (server: Server): Promise<Told> => {
    const told = await whatIsWrong(chom, server);
    serious ||= !told.ok;
    return told;
  };
  if (given !== undefined) {
    const { operation, server } = await checkServer(chom, given);
    const status = await follow(session, chom, operation, {
      ...following,
      needsWorker: true,
      tell: async () => await tell(server),
    });
    return status === EXIT.ok && serious ? EXIT.failed : status;
  }
  const { exitOfEach, followEach } = await import('./follow-each.js');
  const each = (await checkedServers(chom)).map((server) => ({
    name: server.name,
    ask: async () => (await checkServer(chom, server.name)).operation,
    tell: async () => await tell(server),
  }));
  if (each.length === 0) session.output.say('There are no servers to check');
  const { documents, texts, statuses } = await followEach(session, chom, each, { ...following, what: 'checked' });
  session.output.data({ ok: !serious, servers: documents }, texts.join('\n\n'));
  const status = exitOfEach(statuses);
  return status === EXIT.ok && serious ? EXIT.failed : status;
}

/** What is wrong with a server, as the last checks left it. `ok`: nothing serious. */
async function whatIsWrong({ inventory }: Chom, { id, name }: Server): Promise<Told & { ok: boolean }> {
  const open = await findings.open(inventory.db, { server: id });
  const ok = open.every(({ severity }) => severity !== 'serious');
  const text = open.length === 0 ? `${name}: nothing is wrong` : `${name}:\n${findingsText(open)}`;
  return { ok, document: { server: name, ok, findings: open.map(findingDocument) }, text };
}
