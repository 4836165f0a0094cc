import type { Command } from 'commander';
import * as events from '../inventory/events.js';
import type { Operation } from '../inventory/operations.js';
import { failure } from '../workflows/failures.js';
import { askYesNo, interactive } from './ask.js';
import type { Judged } from './clean-backups.js';
import { action, type Cli, type Session } from './cli.js';
import { confirm } from './confirm.js';
import type { JudgedDocument } from './documents/backup.js';
import { exitOfEach } from './follow-each.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions, type Told } from './follow.js';
import { describePolicy } from './keep-options.js';
import type { Chom } from './open.js';
import { describeProblem, EXIT, problemDocument, problemOf } from './problem.js';
import { facts, size } from './text.js';
import { verdictDocument, verdictTable } from './verdicts.js';

interface CleanOptions extends FollowOptions {
  storage?: string;
  dryRun?: boolean;
  force?: boolean;
  despiteFindings?: boolean;
  wait: boolean;
}

/** `chom backup clean` and `chom backup purge` */
export function cleaningCommands(backup: Command, cli: Cli): void {
  backup
    .command('clean')
    .argument('[domain]', 'without one: every site')
    .description('remove the backups that the policy does not keep, and give their space back')
    .option('--storage <name>', 'only what lies there')
    .option('--dry-run', 'say what would go, and why what stays stays; remove nothing')
    .option('--force', 'do not ask; without a terminal nothing is removed unless it is given')
    .option('--despite-findings', 'also where the repository is not as CHOM left it, after you have looked')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText('after', '\nExamples:\n  chom backup clean --dry-run\n  chom backup clean example.org --force')
    .action(action(cli, clean));
  backup
    .command('purge')
    .requiredOption('--site <id>', 'id of a deleted site')
    .option('--confirm <id>', 'the id once more; without it you are asked')
    .description('erase all backups of a deleted site, and see that nothing of them is left')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText('after', '\nExample:\n  chom backup purge --site sabcdefghi --confirm sabcdefghi')
    .action(action(cli, purge));
}

async function clean(session: Session, domain: string | undefined, options: CleanOptions): Promise<number> {
  parseTimeout(options.timeout);
  const { cleanBackups, judgeBackups } = await import('./clean-backups.js');
  const { storage, dryRun = false, force = false, despiteFindings, wait } = options;
  const { output, cli } = session;
  const chom = await session.open();
  const all = await judgeBackups(chom, {
    ...(domain !== undefined && { domain }),
    ...(storage !== undefined && { storage }),
  });
  const judged = all.filter(({ verdicts }) => verdicts.length > 0);
  const due = judged.filter((one) => going(one) > 0);
  const text = judged.map(verdictText).join('\n\n');
  if (judged.length === 0)
    output.say(`There are no backups${domain === undefined ? '' : ` of ${domain}`}: nothing to clean`);
  else if (due.length === 0) output.say('Nothing is to be removed');
  if (dryRun || due.length === 0) {
    output.data({ dryRun, repositories: judged.map(judgedDocument) }, text);
    return EXIT.ok;
  }
  output.say(text);
  const count = due.reduce((sum, one) => sum + going(one), 0);
  if (!force) {
    const what = `${count} ${count === 1 ? 'backup' : 'backups'} of ${due.map((one) => one.domain).join(', ')}`;
    if (!interactive(cli)) {
      throw failure('InvalidInput', `Nobody is there to be asked whether ${what} may be removed`, {
        next: 'look with --dry-run, then add --force',
      });
    }
    if ((await askYesNo(cli, `Remove ${what}?`)) !== true) throw failure('InvalidInput', 'It was not confirmed');
  }
  // All of them are asked for before the first one is waited for.
  const asked: { of: string; operation: string | null; error?: unknown }[] = [];
  for (const one of due) {
    const despite = { wait, ...(despiteFindings !== undefined && { despiteFindings }) };
    asked.push(
      await cleanBackups(chom, one, despite).then(
        (operation) => ({ of: one.domain, operation }),
        (error: unknown) => ({ of: one.domain, operation: null, error }),
      ),
    );
  }
  return await followAll(session, chom, asked, options, 'cleaned');
}

function going({ verdicts }: Judged): number {
  return verdicts.filter(({ keep }) => !keep).length;
}

async function purge(session: Session, options: FollowOptions & { site: string; confirm?: string; wait: boolean }) {
  parseTimeout(options.timeout);
  const { deletedSite, purgeBackups } = await import('./clean-backups.js');
  const chom = await session.open();
  const site = await deletedSite(chom, options.site);
  await confirm(session, site.id, options.confirm);
  const operations = await purgeBackups(chom, site, options);
  if (operations.length === 0) session.output.say(`Site ${site.id} has no backups: nothing to purge`);
  const asked = operations.map((operation) => ({ of: site.domain, operation }));
  return await followAll(session, chom, asked, options, 'purged');
}

/** Follows one after the other, and tells of all of them in one document. */
async function followAll(
  session: Session,
  chom: Chom,
  asked: readonly { of: string; operation: string | null; error?: unknown }[],
  options: FollowOptions,
  name: 'cleaned' | 'purged',
): Promise<number> {
  const { output } = session;
  const documents: object[] = [];
  const texts: string[] = [];
  const quiet: Session = {
    ...session,
    output: {
      ...output,
      data: (document, text) => void (documents.push(document), text !== '' && texts.push(text)),
      problem(problem, status = 'failed', more = {}) {
        output.say(describeProblem(problem));
        documents.push({ ...problemDocument(problem, status), ...more });
        return problem.exitStatus;
      },
    },
  };
  const statuses: number[] = [];
  for (const { operation, error } of asked) {
    if (operation === null) statuses.push(quiet.output.problem(problemOf(error)));
    else {
      const tell = async (ended: Operation) => await tellRemoved(chom, ended);
      statuses.push(await follow(quiet, chom, operation, { ...options, needsWorker: true, tell }));
    }
  }
  output.data({ [name]: documents }, texts.join('\n\n'));
  return exitOfEach(statuses);
}

/** What was removed and how much space that gave back, as the operation's event says it. */
async function tellRemoved({ inventory }: Chom, { id }: Operation): Promise<Told> {
  const all = await events.list(inventory.db, { operation: id });
  const event = all.find(({ type }) => type === 'BackupsCleaned' || type === 'BackupsPurged');
  const data = (event?.data ?? {}) as Removed;
  const { domain, storage, removed = [], bytesBefore = 0, bytesAfter = 0, freed = 0 } = data;
  const text = facts([
    ['site', domain],
    ['storage', storage],
    ['removed', removed.length === 0 ? 'nothing' : removed.join(', ')],
    ['space freed', `${size(freed)} (${size(bytesBefore)} before, ${size(bytesAfter)} now)`],
  ]);
  return { document: { site: domain, storage, removed, bytesBefore, bytesAfter, freed }, text };
}

interface Removed {
  domain?: string;
  storage?: string;
  removed?: string[];
  bytesBefore?: number;
  bytesAfter?: number;
  freed?: number;
}

function verdictText({ domain, storage, retention, verdicts }: Judged): string {
  const zone = retention.timezone === 'UTC' ? '' : `, by days of ${retention.timezone}`;
  const policy = retention.siteDeletedAt === null ? describePolicy(retention.policy) : 'the site is deleted';
  return `${domain} in ${storage.name} (${policy}${zone})\n${verdictTable(verdicts, Date.now())}`;
}

function judgedDocument({ site, domain, storage, retention, verdicts }: Judged): JudgedDocument {
  const { policy, timezone, siteDeletedAt } = retention;
  const backups = verdicts.map(verdictDocument);
  return { site: domain, id: site, storage: storage.name, policy, timezone, siteDeletedAt, backups };
}
