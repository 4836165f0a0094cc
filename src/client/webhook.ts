import type { Command } from 'commander';
import { tellWebhook } from '../delivery/receivers.js';
import * as deliveries from '../inventory/deliveries.js';
import { controllerId } from '../inventory/keys.js';
import * as webhooks from '../inventory/webhooks.js';
import type { Webhook } from '../inventory/webhooks.js';
import { failure } from '../workflows/failures.js';
import { action, type Cli, type Session } from './cli.js';
import { confirm } from './confirm.js';
import type { WebhookDocument } from './documents/webhook.js';
import type { Chom } from './open.js';
import { randomId } from './submit.js';
import { facts, table } from './text.js';
import { addWebhook, checkWebhook } from './webhook-verbs.js';

/** `chom webhook …` */
export function webhookCommand(program: Command, cli: Cli): void {
  const webhook = program.command('webhook').description('who is told of what happens: signed requests over HTTPS');
  webhook
    .command('add')
    .argument('<name>', 'what you call it')
    .description('tell an address of each event from now on; its secret is shown this once')
    .requiredOption('--url <url>', 'https://HOST/PATH')
    .option('--event <type...>', 'these alone, such as Alert or BackupFailed; without it all')
    .option('--allow-private', 'it may lead to an address that is not public, and be http://')
    .option('--all-tenants', 'what happens for every tenant')
    .addHelpText(
      'after',
      `
Each event is delivered at least once: retried for 24 hours after growing pauses, then parked (\`webhook show\`). Its id, the
header webhook-id, is the same with every try. Requests are signed as Standard Webhooks 1.0.0 says: webhook-signature is
v1,BASE64 of HMAC-SHA256 over ID.TIMESTAMP.BODY with the secret behind whsec_, decoded.

Example:
  chom webhook add pager --url https://hooks.example/chom --event Alert`,
    )
    .action(action(cli, add));
  webhook
    .command('list')
    .description('all of them, and how much is on its way or parked')
    .addHelpText('after', '\nExample:\n  chom webhook list --json')
    .action(action(cli, list));
  webhook
    .command('show')
    .argument('<name>', 'of a webhook, or mail or command, the receivers of alerts that a worker’s settings name')
    .description('what it did not get, and why')
    .addHelpText('after', '\nExample:\n  chom webhook show pager')
    .action(action(cli, show));
  webhook
    .command('test')
    .argument('<name>')
    .description('send it an event of the type Test from this machine; exit status 1 unless it is received')
    .addHelpText('after', '\nExample:\n  chom webhook test pager')
    .action(action(cli, test));
  webhook
    .command('retry')
    .argument('<name>', 'as of show')
    .description('deliver what is parked after all')
    .addHelpText('after', '\nExample:\n  chom webhook retry pager')
    .action(action(cli, retry));
  webhook
    .command('remove')
    .argument('<name>')
    .description('tell it of nothing any more; what it did not get is forgotten')
    .option('--confirm <name>', 'the name once more; without it you are asked')
    .addHelpText('after', '\nExample:\n  chom webhook remove pager --confirm pager')
    .action(action(cli, remove));
}

interface AddOptions {
  url: string;
  event?: string[];
  allowPrivate?: boolean;
  allTenants?: boolean;
}

async function add(session: Session, name: string, { event, ...options }: AddOptions): Promise<void> {
  const wanted = { name, ...options, ...(event && { events: event }) };
  checkWebhook(wanted);
  const chom = await session.open();
  const { webhook, secret } = await addWebhook(chom, wanted);
  session.output.say(`Give the receiver this secret, which is not shown again: ${secret}`);
  session.output.say(`Next: chom webhook test ${name}`);
  session.output.data({ webhook: await documentOf(chom, webhook), secret }, name);
}

async function list(session: Session): Promise<void> {
  const chom = await session.open();
  const all = await webhooks.list(chom.inventory.db, chom);
  const documents = await Promise.all(all.map((one) => documentOf(chom, one)));
  const rows = documents.map(({ name, url, events, tenant, pending, parked }) => [
    ...[name, url, events.length === 0 ? 'all' : events.join(' '), tenant ?? 'all tenants', `${pending}`, `${parked}`],
  ]);
  const text = rows.length === 0 ? 'No webhooks' : table(['NAME', 'URL', 'EVENTS', 'FOR', 'PENDING', 'PARKED'], rows);
  session.output.data({ webhooks: documents }, text);
}

async function show(session: Session, name: string): Promise<void> {
  const chom = await session.open();
  const { db } = chom.inventory;
  const receiver = await receiverOf(chom, name);
  const missed = await deliveries.missed(db, receiver);
  const counts = await deliveries.counts(db, receiver);
  const known = isOwn(name) ? null : await documentOf(chom, await webhooks.byName(db, chom.tenant, name));
  const about = facts([
    ['receiver', name],
    ['url', known?.url],
    ['events', known && (known.events.length === 0 ? 'all' : known.events.join(' '))],
    ['delivered', `${counts.delivered} in 30 days`],
    ['pending', `${counts.pending}`],
    ['parked', `${counts.parked}`],
  ]);
  const rows = missed.map(({ type, at, operation, state, tries, reason }) => [
    ...[type, at, operation, state, `${tries}`, reason ?? ''],
  ]);
  const lost = rows.length === 0 ? '' : `\n\n${table(['EVENT', 'AT', 'OPERATION', 'STATE', 'TRIES', 'WHY'], rows)}`;
  if (counts.parked > 0) session.output.say(`Next: chom webhook retry ${name}, once it answers`);
  session.output.data({ receiver: name, webhook: known, ...counts, missed }, `${about}${lost}`);
}

async function test(session: Session, name: string): Promise<void> {
  const { inventory, keyring, tenant } = await session.open();
  const { id } = await webhooks.byName(inventory.db, tenant, name);
  const webhook = await webhooks.opened(inventory.db, keyring, id);
  const about = { type: 'Test', at: new Date().toISOString(), operation: '', tenant, server: null, site: null };
  const message = { id: `evt_${await controllerId(inventory)}_test-${randomId(8)}`, ...about, data: {} };
  const told = await tellWebhook(webhook!, message);
  if (!told.ok) {
    throw failure('ProbeFailed', `Webhook ${name} did not take a test: ${told.reason}`, {
      cause: `what ${webhook!.url} leads to is down, or refuses the request`,
      next: `chom webhook test ${name}, once it answers`,
    });
  }
  session.output.data({ webhook: name, received: true }, `${name} received it`);
}

async function retry(session: Session, name: string): Promise<void> {
  const chom = await session.open();
  const receiver = await receiverOf(chom, name);
  const resumed = await chom.inventory.transaction(async (trx) => await deliveries.resume(trx, receiver));
  session.output.data({ receiver: name, resumed }, `${resumed} events are delivered again`);
}

async function remove(session: Session, name: string, options: { confirm?: string }): Promise<void> {
  await confirm(session, name, options.confirm);
  const { inventory, tenant } = await session.open();
  const { id } = await webhooks.byName(inventory.db, tenant, name);
  await inventory.transaction(async (trx) => await webhooks.remove(trx, id));
  session.output.data({ removed: name }, '');
}

/** Receivers of alerts that a worker's settings name. */
const isOwn = (name: string): boolean => name === 'mail' || name === 'command';

async function receiverOf({ inventory, tenant }: Chom, name: string): Promise<string> {
  return isOwn(name) ? name : (await webhooks.byName(inventory.db, tenant, name)).id;
}

async function documentOf({ inventory }: Chom, webhook: Webhook): Promise<WebhookDocument> {
  return { ...webhook, ...(await deliveries.counts(inventory.db, webhook.id)) };
}
