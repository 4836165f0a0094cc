import type { Command } from 'commander';
import type { Schedule } from '../schedules.js';
import { failure } from '../workflows/failures.js';
import { action, type Cli, type Session } from './cli.js';
import { parseTime } from './global-options.js';
import { EXIT } from './problem.js';
import type { KnownSchedule } from './schedules.js';
import { facts, table } from './text.js';

/** `chom schedule …` */
export function scheduleCommand(program: Command, cli: Cli): void {
  const schedule = program.command('schedule').description('what CHOM does by itself, and when');
  schedule
    .command('apply')
    .description('make Temporal’s schedules those that CHOM declares; one that is paused stays paused')
    .option('--prune', 'remove those of CHOM’s that it does not declare any more')
    .addHelpText('after', '\nExample:\n  chom schedule apply')
    .action(action(cli, apply));
  schedule
    .command('diff')
    .description('what apply would change; exit status 1 when there is anything')
    .addHelpText('after', '\nExample:\n  chom schedule diff')
    .action(action(cli, diff));
  schedule
    .command('list')
    .description('all of them, and when each runs next')
    .addHelpText('after', '\nExample:\n  chom schedule list --json')
    .action(action(cli, list));
  schedule
    .command('show')
    .argument('<name>')
    .description('what one does, and when')
    .addHelpText('after', '\nExample:\n  chom schedule show back-up-sites')
    .action(action(cli, show));
  schedule
    .command('pause')
    .argument('<name>')
    .description('let it rest, also after the next apply; what it has asked for goes on')
    .option('--note <text>', 'why, for others', 'paused by chom schedule pause')
    .addHelpText('after', '\nExample:\n  chom schedule pause back-up-sites --note "storage moves"')
    .action(action(cli, pause));
  schedule
    .command('resume')
    .argument('<name>')
    .description('have it run again')
    .addHelpText('after', '\nExample:\n  chom schedule resume back-up-sites')
    .action(action(cli, resume));
  schedule
    .command('run')
    .argument('<name>')
    .description('run it now, also where it is paused, and all at once')
    .addHelpText('after', '\nExample:\n  chom schedule run back-up-sites')
    .action(action(cli, run));
  schedule
    .command('backfill')
    .argument('<name>')
    .description('run it for each time at which it was due, one after the other')
    .requiredOption('--from <time>', 'ISO 8601, such as 2026-11-26T00:00Z')
    .requiredOption('--to <time>', 'likewise')
    .addHelpText(
      'after',
      '\nExample:\n  chom schedule backfill back-up-sites --from 2026-11-26T00:00Z --to 2026-11-26T06:00Z',
    )
    .action(action(cli, backfill));
}

async function apply(session: Session, { prune = false }: { prune?: boolean }): Promise<void> {
  const { applySchedules } = await import('./schedules.js');
  const changed = await applySchedules(await session.open(), { prune });
  const left = prune ? [] : changed.filter(({ state }) => state === 'undeclared');
  const lines = changed.map(({ name, state }) => `${name}: ${done(state, prune)}`);
  if (left.length > 0) session.output.say('Next: chom schedule apply --prune removes what is not declared');
  session.output.data({ changed }, lines.length === 0 ? 'Nothing has changed' : lines.join('\n'));
}

function done(state: KnownSchedule['state'], prune: boolean): string {
  if (state === 'undeclared') return prune ? 'removed' : 'not declared, and left as it is';
  return state === 'missing' ? 'made' : 'changed';
}

async function diff(session: Session): Promise<number> {
  const { listSchedules } = await import('./schedules.js');
  const differing = (await listSchedules(await session.open())).filter(({ state }) => state !== 'applied');
  const lines = differing.map(({ name, state }) => `${name}: ${state}`);
  session.output.data({ differing }, lines.length === 0 ? 'Temporal has them as they are declared' : lines.join('\n'));
  return differing.length === 0 ? EXIT.ok : EXIT.failed;
}

async function list(session: Session): Promise<void> {
  const { listSchedules } = await import('./schedules.js');
  const all = await listSchedules(await session.open());
  const rows = all.map(({ name, state, paused, next, last, does }) => [
    ...[name, paused ? 'paused' : state, paused ? '' : (next ?? ''), last ?? '', does],
  ]);
  if (all.some(({ state }) => state === 'missing')) session.output.say('Next: chom schedule apply');
  session.output.data({ schedules: all }, table(['NAME', 'STATE', 'NEXT', 'LAST', 'DOES'], rows));
}

async function show(session: Session, name: string): Promise<void> {
  const { listSchedules, scheduleNamed } = await import('./schedules.js');
  const declared = scheduleNamed(name);
  const chom = await session.open();
  const known = (await listSchedules(chom)).find((one) => one.name === declared.name);
  const { windowMinutes, catchUpMinutes } = declared;
  const text = facts([
    ['name', name],
    ['does', declared.does],
    ['runs', describeTimes(declared, chom.config.timezone)],
    ['spread over', windowMinutes === 0 ? null : `${windowMinutes} minutes`],
    ['made up for', `up to ${catchUpMinutes} minutes late`],
    ['state', known?.paused ? `paused: ${known.note}` : known?.state],
    ['next', known?.paused ? null : known?.next],
    ['last', known?.last],
  ]);
  session.output.data({ ...declared, ...known }, text);
}

function describeTimes({ at }: Schedule, timezone: string): string {
  const time = (hour: number, minute: number) => `${hour}`.padStart(2, '0') + `:${`${minute}`.padStart(2, '0')}`;
  if ('everyMinutes' in at) return `every ${at.everyMinutes} minutes`;
  if ('twiceDaily' in at) return `at ${at.twiceDaily.map((hour) => time(hour, at.minute)).join(' and ')} (${timezone})`;
  return `${at.dayOfWeek === undefined ? 'daily' : 'on Sundays'} at ${time(at.hour, at.minute)} (${timezone})`;
}

async function pause(session: Session, name: string, { note }: { note: string }): Promise<void> {
  const { pauseSchedule } = await import('./schedules.js');
  await pauseSchedule(await session.open(), name, note);
  session.output.data({ paused: name, note }, '');
}

async function resume(session: Session, name: string): Promise<void> {
  const { resumeSchedule } = await import('./schedules.js');
  await resumeSchedule(await session.open(), name);
  session.output.data({ resumed: name }, '');
}

async function run(session: Session, name: string): Promise<void> {
  const { runScheduleNow } = await import('./schedules.js');
  const workflow = await runScheduleNow(await session.open(), name);
  session.output.say('Next: chom op list');
  session.output.data({ run: name, workflow }, workflow);
}

async function backfill(session: Session, name: string, options: { from: string; to: string }): Promise<void> {
  const [from, to] = [parseTime(options.from), parseTime(options.to)];
  if (from >= to) throw failure('InvalidInput', '--from is not before --to');
  const { backfillSchedule } = await import('./schedules.js');
  await backfillSchedule(await session.open(), name, from, to);
  session.output.data({ backfilled: name, from: from.toISOString(), to: to.toISOString() }, '');
}
