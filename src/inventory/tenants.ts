import type { Selectable } from 'kysely';
import { failure } from '../workflows/failures.js';
import type { RetentionOverride } from '../workflows/retention-policy.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { TenantsTable } from './schema.js';

export interface Tenant extends Omit<Selectable<TenantsTable>, 'retention'> {
  retention: RetentionOverride;
}

/** @throws Conflict when another tenant has that name */
export async function add(trx: Trx, tenant: { id: string; name: string }): Promise<Tenant> {
  await trx
    .insertInto('tenants')
    .values({ ...tenant, createdAt: now() })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const held = await byName(trx, tenant.name);
  if (held.id !== tenant.id) throw failure('Conflict', `There is a tenant ${tenant.name} already`);
  return held;
}

/** @throws NotFound */
export async function byName(db: Db, name: string): Promise<Tenant> {
  const row = await db.selectFrom('tenants').selectAll().where('name', '=', name).executeTakeFirst();
  if (!row) throw failure('NotFound', `There is no tenant ${name}`, { next: 'chom tenant list' });
  return fromRow(row);
}

/** @throws NotFound */
export async function byId(db: Db, id: string): Promise<Tenant> {
  const row = await db.selectFrom('tenants').selectAll().where('id', '=', id).executeTakeFirst();
  if (!row) throw failure('NotFound', `There is no tenant ${id}`, { next: 'chom tenant list' });
  return fromRow(row);
}

export async function list(db: Db): Promise<Tenant[]> {
  return (await db.selectFrom('tenants').selectAll().orderBy('name').execute()).map(fromRow);
}

function fromRow(row: Selectable<TenantsTable>): Tenant {
  return { ...row, retention: JSON.parse(row.retention) as RetentionOverride };
}
