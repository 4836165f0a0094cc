import { type Command, Option } from 'commander';
import { failure } from '../workflows/failures.js';
import { parseTenantName } from './names.js';
import type { Chom } from './open.js';
import { OUTPUT_FORMS, type OutputForm } from './output.js';
import { quoted } from './text.js';

/** Options that every command has. */
export interface GlobalOptions {
  json?: boolean;
  output?: OutputForm;
  tenant?: string;
  api?: string;
  profile?: string;
  taskQueue?: string;
  priority?: 'high' | 'default' | 'low';
  at?: string;
  in?: string;
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** Temporal keeps a timer for as long as one likes; whoever means longer has mistyped. */
const MOST_MS = 366 * 86_400_000;

export function globalOptions(program: Command): Command {
  return program
    .addOption(
      new Option(
        '-o, --output <form>',
        'how the result is written: wide is not cut to the terminal, name is names alone',
      )
        .choices(OUTPUT_FORMS)
        .conflicts('json'),
    )
    .option('--json', 'one JSON document on stdout: --output json')
    .option('--tenant <name>', 'whom the command works for, instead of CHOM_TENANT', parseTenantName)
    .option('--api <url>', 'work over the API of another machine (chom serve) with the token CHOM_TOKEN; or CHOM_API')
    .option('--profile <name>', 'of the Temporal configuration file: address, namespace, TLS, API key')
    .option('--task-queue <name>', 'whose workers do what is asked for, instead of CHOM_TASK_QUEUE')
    .addOption(new Option('--priority <priority>', 'of what is asked for').choices(['high', 'default', 'low']))
    .option('--at <time>', 'what is asked for begins then, such as 2026-11-28T02:00Z')
    .option('--in <duration>', 'what is asked for begins after so long: 90s, 30m, 2h, 3d');
}

/** What they say instead of the environment. @throws InvalidInput */
export function settingsOf({ tenant, profile, taskQueue }: GlobalOptions): Record<string, string> {
  if (profile === '') throw failure('InvalidInput', '--profile is empty');
  if (taskQueue !== undefined && !/^[\w.:/-]{1,200}$/.test(taskQueue)) {
    throw failure('InvalidInput', `${quoted(taskQueue)} is no name for a task queue`);
  }
  return {
    ...(tenant !== undefined && { CHOM_TENANT: tenant }),
    ...(profile !== undefined && { TEMPORAL_PROFILE: profile }),
    ...(taskQueue !== undefined && { CHOM_TASK_QUEUE: taskQueue }),
  };
}

/** How operations are to be asked for. `now` in milliseconds. @throws InvalidInput */
export function askingOf(options: GlobalOptions, now = Date.now()): NonNullable<Chom['asking']> {
  const { priority, at, in: after } = options;
  if (at !== undefined && after !== undefined) throw failure('InvalidInput', '--at and --in exclude each other');
  const time = at === undefined ? null : parseTime(at).getTime();
  const start = after === undefined ? time : now + parseDuration(after);
  if (start !== null && start < now) throw failure('InvalidInput', `${quoted(at ?? '')} is over`);
  if (start !== null && start > now + MOST_MS) throw failure('InvalidInput', 'It would begin in more than a year');
  return {
    ...(priority !== undefined && { priority }),
    ...(start !== null && { startsAt: new Date(start).toISOString() }),
  };
}

/** ISO 8601 with its offset. @throws InvalidInput */
export function parseTime(text: string): Date {
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/.test(text) ? new Date(text) : null;
  if (time !== null && !Number.isNaN(time.getTime())) return time;
  throw failure('InvalidInput', `${quoted(text)} is no time`, { cause: 'it is written as 2026-11-26T00:00Z' });
}

/** `90s`, `2h30m`, `3d`, as milliseconds. @throws InvalidInput */
export function parseDuration(text: string): number {
  const parts = /^(\d{1,6}[smhd])+$/.test(text) ? text.matchAll(/(\d+)([smhd])/g) : [];
  let sum = 0;
  for (const [, count, unit = ''] of parts) sum += Number(count) * (UNIT_MS[unit] ?? 0);
  if (sum > 0) return sum;
  throw failure('InvalidInput', `${quoted(text)} is no duration`, { cause: 'it is written as 90s, 30m, 2h30m or 3d' });
}
