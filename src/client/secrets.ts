import type { Command } from 'commander';
import * as events from '../inventory/events.js';
import type { Operation } from '../inventory/operations.js';
import { ROTATION_DAYS, type KeyAge } from '../inventory/rotations.js';
import { failure } from '../workflows/failures.js';
import { action, type Cli, type Session } from './cli.js';
import type { DueDocument } from './documents/server.js';
import { FOLLOW_OPTIONS, parseTimeout, type FollowOptions, type Told } from './follow.js';
import type { Chom } from './open.js';
import { EXIT } from './problem.js';
import { facts, table } from './text.js';

interface RotateOptions extends FollowOptions {
  server?: string;
  all?: boolean;
  dryRun?: boolean;
  force?: boolean;
  emergency?: boolean;
  overlapHours?: string;
  wait: boolean;
}

/** `chom secrets …`; without a word about what to do, it rotates. */
export function secretsCommand(program: Command, cli: Cli): void {
  program
    .command('secrets')
    .description('the keys by which CHOM gets into servers')
    .command('rotate', { isDefault: true })
    .description("give servers another key of CHOM's; the old one is removed a day later")
    .option('--server <name>', 'this one, whether it is due or not')
    .option('--all', `every server whose key is ${ROTATION_DAYS} days old, one after the other`)
    .option('--force', 'with --all: those too that are not due')
    .option('--dry-run', 'say which would be rotated, and since when they are due; change nothing')
    .option(
      '--emergency',
      'the old key is known to others: remove it, and those before it, as soon as the new one works',
    )
    .option('--overlap-hours <n>', 'for so long the old key still gets in (24)')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option('--timeout <seconds>', 'of each server; it goes on, and so does this command with the next one')
    .addHelpText(
      'after',
      `
The old key is not removed before a backup of CHOM itself holds the new one (chom backup database), unless it is an
emergency. With --all the exit status is 3 when some failed.

Examples:
  chom secrets rotate --server web1
  chom secrets rotate --all --dry-run
  chom secrets rotate --server web1 --emergency`,
    )
    .action(action(cli, rotate));
}

async function rotate(session: Session, options: RotateOptions): Promise<number> {
  const { detach, timeout, wait } = options;
  parseTimeout(timeout);
  const { checkRotation, dueRotations } = await import('./rotate-credentials.js');
  const { server, all = false, force = false, dryRun = false, emergency = false } = options;
  const overlapHours = options.overlapHours === undefined ? undefined : Number(options.overlapHours);
  const how = { emergency, ...(overlapHours !== undefined && { overlapHours }) };
  checkRotation(how);
  if ((server === undefined) === !all) {
    throw failure('InvalidInput', all ? '--server and --all do not go together' : 'Which server is meant is not said', {
      next: 'chom secrets rotate --server NAME, or --all for those that are due',
    });
  }
  if (force && !all) throw failure('InvalidInput', '--force goes with --all: a server that is named is rotated anyway');
  const { output } = session;
  const chom = await session.open();
  const due = server === undefined ? await dueRotations(chom, { all: force }) : [];
  const named = server === undefined ? null : await keyOf(chom, server);
  const meant = named ? [named] : due;
  if (meant.length === 0) output.say(force ? 'There are no servers to rotate' : 'No server is due');
  if (dryRun || meant.length === 0) {
    output.data({ dryRun, due: meant.map(ageDocument) }, meant.length === 0 ? '' : ageTable(meant));
    return EXIT.ok;
  }
  const { rotateEach } = await import('./rotate-each.js');
  const following = { ...(detach !== undefined && { detach }), ...(timeout !== undefined && { timeout }) };
  const told = async (ended: Operation) => await tell(chom, ended);
  return await rotateEach(session, chom, meant, { ...how, ...following, wait, tell: told });
}

/** @throws NotFound; Conflict it is not enrolled */
async function keyOf(chom: Chom, name: string): Promise<KeyAge> {
  const { dueRotations, expectEnrolled } = await import('./rotate-credentials.js');
  const { id } = await expectEnrolled(chom, name);
  const found = (await dueRotations(chom, { all: true })).find(({ server }) => server === id);
  if (found) return found;
  throw failure('NotFound', `There is no key for server ${name}`, { server: name, next: `chom server add ${name}` });
}

const KEPT = 'the old key stays until a backup of CHOM itself holds the new one';

/** What was rotated, as the operation's event says it: by fingerprints alone. */
async function tell({ inventory }: Chom, { id }: Operation): Promise<Told> {
  const all = await events.list(inventory.db, { operation: id });
  const data = (all.find(({ type }) => type === 'CredentialsRotated')?.data ?? {}) as Rotated;
  const { name, key, replaced, oldKeyUntil = null } = data;
  const gone = all.some(({ type }) => type === 'CredentialsRetired');
  const until = gone ? 'gone, and seen refused' : `gets in until ${oldKeyUntil ?? 'it is removed'}`;
  const text = facts([
    ['server', name],
    ['key', key],
    ['old key', `${replaced ?? ''} ${until}`],
    ['next', `chom backup database: ${gone ? 'no backup of CHOM itself holds this key yet' : KEPT}`],
  ]);
  return { document: { server: name, key, replaced, oldKeyUntil, oldKeyGone: gone }, text };
}

interface Rotated {
  name?: string;
  key?: string;
  replaced?: string;
  oldKeyUntil?: string | null;
}

function ageTable(ages: readonly KeyAge[]): string {
  const late = ({ daysLate }: KeyAge) =>
    daysLate === null ? 'not due' : daysLate === 1 ? '1 day' : `${daysLate} days`;
  const rows = ages.map((one) => [one.name, one.rotatedAt.slice(0, 10), one.dueAt.slice(0, 10), late(one)]);
  return table(['SERVER', 'LAST ROTATED', 'DUE', 'LATE'], rows);
}

function ageDocument({ name, rotatedAt, dueAt, daysLate }: KeyAge): DueDocument {
  return { server: name, rotatedAt, dueAt, daysLate };
}
