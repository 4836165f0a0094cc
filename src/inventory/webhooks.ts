import type { Selectable } from 'kysely';
import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { Keyring } from './keyring.js';
import type { WebhooksTable } from './schema.js';
import { seal } from './sealing.js';

/** An address that is told of events. */
export interface Webhook extends Omit<Selectable<WebhooksTable>, 'events' | 'allowPrivate' | 'sealedSecret'> {
  /** Types; none of them means all. */
  events: string[];
  /** It may be reached at an address that is not public. */
  allowPrivate: boolean;
}

export interface NewWebhook {
  id: string;
  /** Null: it is told of every tenant's events. */
  tenant: string | null;
  name: string;
  url: string;
  events: readonly string[];
  allowPrivate: boolean;
  /** What its requests are signed with. */
  secret: Buffer;
}

/** @throws Conflict another one has that name, for that tenant or for all */
export async function add(trx: Trx, keyring: Keyring, webhook: NewWebhook): Promise<Webhook> {
  const { secret, events, allowPrivate, ...plain } = webhook;
  if (await named(trx, plain.tenant, plain.name)) {
    throw failure('Conflict', `There is a webhook ${plain.name} already`, { next: `chom webhook show ${plain.name}` });
  }
  await trx
    .insertInto('webhooks')
    .values({
      ...plain,
      events: JSON.stringify(events),
      allowPrivate: allowPrivate ? 1 : 0,
      sealedSecret: await seal(trx, keyring, secret, context(plain.id)),
      createdAt: now(),
    })
    .execute();
  return await byName(trx, plain.tenant ?? '', plain.name);
}

/** Nobody is told there any more, and what it was told is forgotten. */
export async function remove(trx: Trx, id: string): Promise<void> {
  await trx.deleteFrom('deliveries').where('receiver', '=', id).execute();
  await trx.deleteFrom('webhooks').where('id', '=', id).execute();
}

/** What a tenant means by a name: its own before everybody's. @throws NotFound also when it is another tenant's */
export async function byName(db: Db, tenant: string, name: string): Promise<Webhook> {
  const row = (await named(db, tenant, name)) ?? (await named(db, null, name));
  if (!row) throw failure('NotFound', `There is no webhook ${name}`, { next: 'chom webhook list' });
  return fromRow(row);
}

/** Those that are told of a tenant's events, by name; all without a tenant. */
export async function list(db: Db, filter: { tenant?: string } = {}): Promise<Webhook[]> {
  const { tenant } = filter;
  let query = db.selectFrom('webhooks').selectAll();
  if (tenant !== undefined) {
    query = query.where((row) => row.or([row('tenant', '=', tenant), row('tenant', 'is', null)]));
  }
  return (await query.orderBy('name').orderBy('id').execute()).map(fromRow);
}

/** With its secret; null when it was removed. @throws Forbidden as `Keyring.open` */
export async function opened(db: Db, keyring: Keyring, id: string): Promise<(Webhook & { secret: Buffer }) | null> {
  const row = await db.selectFrom('webhooks').selectAll().where('id', '=', id).executeTakeFirst();
  return row ? { ...fromRow(row), secret: keyring.open(row.sealedSecret, context(id)) } : null;
}

async function named(db: Db, tenant: string | null, name: string): Promise<Selectable<WebhooksTable> | null> {
  const query = db.selectFrom('webhooks').selectAll().where('name', '=', name);
  return (await query.where('tenant', tenant === null ? 'is' : '=', tenant).executeTakeFirst()) ?? null;
}

function fromRow({ id, tenant, name, url, events, allowPrivate, createdAt }: Selectable<WebhooksTable>): Webhook {
  const types = JSON.parse(events) as string[];
  return { id, tenant, name, url, events: types, allowPrivate: allowPrivate === 1, createdAt };
}

/** What it is sealed for: nothing else opens it. */
export function context(id: string): string {
  return `webhook/${id}/secret`;
}
