import type { Command } from 'commander';
import type { Operation } from '../inventory/operations.js';
import * as optimisations from '../inventory/optimisations.js';
import { failure } from '../workflows/failures.js';
import { action, type Cli, type Session } from './cli.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions, type Told } from './follow.js';
import { parseServerName } from './names.js';
import type { Chom } from './open.js';
import { facts, printable, size } from './text.js';

interface Options extends FollowOptions {
  all?: boolean;
  site?: string;
  wait: boolean;
}

/** `chom server optimise` */
export function optimiseCommand(server: Command, cli: Cli): void {
  server
    .command('optimise')
    .argument('[name]')
    .description('keep the databases of its sites in order: fresh statistics, and rebuilt tables where much is free')
    .option('--all', 'of every server')
    .option('--site <domain>', 'of this site alone')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option('--timeout <seconds>', 'of each site; it goes on, and so does this command with the next one')
    .addHelpText(
      'after',
      `
Sites serve meanwhile. All tables are analysed. Rebuilt are InnoDB tables of which a fifth and 16 MiB are free, one at a time,
where the disk has twice their size and 1 GiB to spare; what was left out is said, and why.

Examples:
  chom server optimise web1
  chom server optimise --site example.org
  chom server optimise --all --json`,
    )
    .action(action(cli, optimise));
}

async function optimise(session: Session, given: string | undefined, options: Options): Promise<number> {
  const { all = false, site, wait, ...following } = options;
  parseTimeout(options.timeout);
  if ([given !== undefined, all, site !== undefined].filter(Boolean).length !== 1) {
    throw failure('InvalidInput', 'A server, --all or --site is to be said, and one of them', {
      next: 'chom server optimise NAME',
    });
  }
  const chom = await session.open();
  const { optimiseDatabase } = await import('./optimise-database.js');
  if (site !== undefined) {
    const operation = await optimiseDatabase(chom, site, { wait });
    const told = async (ended: Operation) => await tell(chom, site, ended);
    return await follow(session, chom, operation, { ...following, needsWorker: true, tell: told });
  }
  const domains = await domainsOn(chom, given);
  if (domains.length === 0) session.output.say('No site there has a database');
  const each = domains.map((domain) => ({
    name: domain,
    ask: async () => await optimiseDatabase(chom, domain, { wait }),
    tell: async (ended: Operation) => await tell(chom, domain, ended),
  }));
  const { exitOfEach, followEach } = await import('./follow-each.js');
  const { documents, texts, statuses } = await followEach(session, chom, each, { ...following, what: 'optimised' });
  session.output.data({ sites: documents }, texts.join('\n\n'));
  return exitOfEach(statuses);
}

async function domainsOn(chom: Chom, server: string | undefined): Promise<string[]> {
  const { sitesWithDatabase } = await import('./optimise-database.js');
  const { expectEnrolled } = await import('./rotate-credentials.js');
  const on = server === undefined ? undefined : (await expectEnrolled(chom, parseServerName(server))).id;
  return (await sitesWithDatabase(chom, on)).map(({ domain }) => domain);
}

async function tell({ inventory }: Chom, site: string, { id }: Operation): Promise<Told> {
  const done = await optimisations.ofOperation(inventory.db, id);
  if (done === null) return { document: { site }, text: '' };
  const { tables, rebuilt, reclaimedBytes } = done;
  const skipped = done.skipped.map((one) => ({ ...one, table: Buffer.from(one.table, 'hex').toString('utf8') }));
  const text = facts([
    ['site', site],
    ['tables', String(tables)],
    ['rebuilt', String(rebuilt)],
    ['reclaimed', size(reclaimedBytes)],
    ['left', skipped.map(({ table, why }) => `${printable(table)} (${why})`).join(', ')],
  ]);
  return { document: { site, tables, rebuilt, reclaimedBytes, skipped }, text };
}
