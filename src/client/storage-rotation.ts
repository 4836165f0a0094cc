import type { Command } from 'commander';
import { action, type Cli, type Session } from './cli.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions } from './follow.js';
import type { Output } from './output.js';
import { EXIT, problemDocument, problemOf } from './problem.js';

interface RotateOptions extends FollowOptions {
  site?: string;
  wait: boolean;
}

/** Who leaves with Ctrl-C leaves all of them; and without Temporal or a worker the next one fares no better. */
const ENDS_ALL: readonly number[] = [EXIT.detached, EXIT.nobody];

/** `chom storage rotate` */
export function storageRotationCommand(storage: Command, cli: Cli): void {
  storage
    .command('rotate')
    .argument('<name>')
    .description('give repositories another password and, where sites have logins of their own, other logins')
    .option('--site <domain>', "this site's alone")
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option('--timeout <seconds>', 'of each site; it goes on, and so does this command with the next one')
    .addHelpText(
      'after',
      `
The old password opens the repository for another day, and until a backup of CHOM itself holds the new one (chom backup
database). A recovery kit that was printed before holds the old one: print it again. The exit status is 3 when some failed.

Example:
  chom storage rotate store --site example.org`,
    )
    .action(action(cli, rotate));
}

async function rotate(session: Session, name: string, options: RotateOptions): Promise<number> {
  const { site, wait, ...following } = options;
  parseTimeout(options.timeout);
  const { rotatableSites, rotateStorage } = await import('./rotate-storage.js');
  const { output } = session;
  const chom = await session.open();
  const found = await rotatableSites(chom, { storage: name, ...(site !== undefined && { site }) });
  if (found.length === 0) output.say('No live site has a repository there');
  const documents: object[] = [];
  const statuses: number[] = [];
  for (const { domain } of found) {
    const quiet = { ...session, output: gathering(output, domain, documents) };
    const asked = await rotateStorage(chom, { storage: name, site: domain, wait }).catch((error: unknown) =>
      problemOf(error),
    );
    const status =
      typeof asked === 'string'
        ? await follow(quiet, chom, asked, { ...following, needsWorker: true })
        : quiet.output.problem(asked);
    statuses.push(status);
    if (ENDS_ALL.includes(status)) break;
  }
  output.data({ rotated: documents }, '');
  const bad = statuses.filter((status) => status !== EXIT.ok);
  if (bad.length === 0) return EXIT.ok;
  return bad.length === statuses.length ? (bad[0] ?? EXIT.failed) : EXIT.partly;
}

/** Of each site one document, and what is said of it at once. */
function gathering(output: Output, domain: string, documents: object[]): Output {
  return {
    ...output,
    data: (document) => void documents.push({ site: domain, ...document }),
    problem(problem, status = 'failed', more = {}) {
      output.say(`${domain}: ${problem.message}${problem.next === undefined ? '' : `\n  next: ${problem.next}`}`);
      documents.push({ site: domain, ...problemDocument(problem, status), ...more });
      return problem.exitStatus;
    },
  };
}
