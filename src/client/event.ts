import type { Command } from 'commander';
import { messageOf } from '../delivery/message.js';
import type { Db } from '../inventory/database.js';
import { EVENT_TYPES, isEventType } from '../inventory/event-types.js';
import * as events from '../inventory/events.js';
import { controllerId, findController } from '../inventory/keys.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import { action, type Cli, type Session } from './cli.js';
import { parseDomain } from './domain.js';
import { parseLimit, parseServerName } from './names.js';
import { parseSince } from './since.js';
import { quoted, table } from './text.js';

interface ListOptions {
  type?: string[];
  site?: string;
  server?: string;
  since?: string;
  limit: string;
}

/** `chom event …` */
export function eventCommand(program: Command, cli: Cli): void {
  const event = program.command('event').description('what happened, as webhooks are told of it');
  event
    .command('list')
    .description('events, the newest first; they are kept for ever')
    .option('--type <type...>', 'these alone, such as Alert or BackupFailed')
    .option('--site <domain>', 'only those of one site')
    .option('--server <name>', 'only those of one server, and of the sites on it')
    .option('--since <when>', 'not before: 30m, 24h, 7d, or a date as 2026-01-31 or 2026-01-31T12:00Z')
    .option('--limit <number>', 'at most so many', '50')
    .addHelpText(
      'after',
      '\nExamples:\n  chom event list --type Alert --since 24h\n  chom event list --site example.org',
    )
    .action(action(cli, list));
}

async function list(session: Session, options: ListOptions): Promise<void> {
  const limit = parseLimit(options.limit, 'events');
  const unknown = (options.type ?? []).find((type) => !isEventType(type));
  if (unknown !== undefined) {
    throw failure('InvalidInput', `There is no event ${quoted(unknown)}`, {
      cause: `there are ${EVENT_TYPES.join(', ')}`,
    });
  }
  const domain = options.site === undefined ? null : parseDomain(options.site);
  const name = options.server === undefined ? null : parseServerName(options.server);
  const since = options.since === undefined ? null : parseSince(options.since, Date.now());
  const { tenant, inventory } = await session.open();
  const { db } = inventory;
  const found = await events.latest(db, {
    ...{ tenant, limit },
    ...(options.type && { types: options.type }),
    ...(domain !== null && { sites: await siteIds(db, tenant, domain) }),
    ...(name !== null && { server: (await servers.byName(db, tenant, name)).id }),
    ...(since !== null && { since }),
  });
  const controller = (await findController(db)) ?? (await controllerId(inventory));
  const messages = await Promise.all(found.map(async (one) => await messageOf(db, controller, one)));
  const rows = messages.map(({ at, type, site, server, operation, data }) => [
    ...[at, type, site?.domain ?? server?.name ?? '', operation, reasonOf(data)],
  ]);
  if (rows.length === 0) session.output.say('No events');
  const text = rows.length === 0 ? '' : table(['AT', 'EVENT', 'OF', 'OPERATION', 'REASON'], rows);
  session.output.data({ events: messages }, text);
}

/** @throws NotFound */
async function siteIds(db: Db, tenant: string, domain: string): Promise<string[]> {
  const ids = (await sites.named(db, { tenant, domain })).map(({ id }) => id);
  if (ids.length > 0) return ids;
  throw failure('NotFound', `There is no site ${domain}`, { next: 'chom site list' });
}

/** Why, of what went wrong; in one line. */
function reasonOf({ reason }: Record<string, unknown>): string {
  return typeof reason === 'string' ? (reason.split('\n')[0] ?? '').slice(0, 120) : '';
}
