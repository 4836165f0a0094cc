import { type Kysely, PostgresAdapter, sql } from 'kysely';
import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Inventory } from './database.js';
import { first } from './migrations/0001-first.js';
import { siteTypes } from './migrations/0002-site-types.js';
import { line } from './migrations/0003-line.js';
import { protection } from './migrations/0004-protection.js';
import { tries } from './migrations/0005-tries.js';
import { machine } from './migrations/0006-machine.js';
import { backups } from './migrations/0007-backups.js';
import { restores } from './migrations/0008-restores.js';
import { verification } from './migrations/0009-verification.js';
import { retention } from './migrations/0010-retention.js';
import { rotation } from './migrations/0011-rotation.js';
import { siteLife } from './migrations/0012-site-life.js';
import { renewals } from './migrations/0013-renewals.js';
import { maintenance } from './migrations/0014-maintenance.js';
import { delivery } from './migrations/0015-delivery.js';
import { forgotten } from './migrations/0016-forgotten.js';
import { serverUpkeep } from './migrations/0017-server-upkeep.js';
import { keys } from './migrations/0018-keys.js';
import { batches } from './migrations/0019-batches.js';
import { planned } from './migrations/0020-planned.js';
import { apiTokens } from './migrations/0021-api-tokens.js';
import { tags } from './migrations/0022-tags.js';

/** Column types that the two databases write differently. */
export interface Dialectal {
  /** A key that the database counts up. */
  counter: string;
  bytes: string;
  /** A whole number beyond 32 bits. */
  big: string;
}

/** A step of the schema: SQL statements, run in one transaction. Once released it never changes. */
export interface Migration {
  name: string;
  statements: (types: Dialectal) => readonly string[];
}

/** In order; only ever appended to. Its length is the schema's version. */
const MIGRATIONS: readonly Migration[] = [
  ...[first, siteTypes, line, protection, tries, machine, backups, restores, verification, retention],
  ...[rotation, siteLife, renewals, maintenance, delivery, forgotten, serverUpkeep, keys],
  ...[batches, planned, apiTokens, tags],
];

const SQLITE: Dialectal = { counter: 'integer primary key autoincrement', bytes: 'blob', big: 'integer' };
const POSTGRES: Dialectal = {
  counter: 'bigint generated always as identity primary key',
  bytes: 'bytea',
  big: 'bigint',
};

/** Any number, the same in every CHOM: the advisory lock under which PostgreSQL migrates. */
const MIGRATION_LOCK = 7_265_001;

interface Versions {
  schemaVersions: { version: number; name: string; at: string };
}

/**
 * Brings the schema to this CHOM's version. Several processes may do so at once: one works, the others wait for it.
 * @throws InventoryUnavailable when a newer CHOM has migrated it already
 */
export async function migrate(inventory: Inventory): Promise<void> {
  if ((await version(inventory.db)) === MIGRATIONS.length) return;
  await inventory.transaction(async (trx) => {
    const postgres = isPostgres(trx);
    // On SQLite BEGIN IMMEDIATE has already let only one in.
    if (postgres) await sql`select pg_advisory_xact_lock(${MIGRATION_LOCK})`.execute(trx);
    await sql`create table if not exists schema_versions (
      version integer primary key, name text not null, at text not null)`.execute(trx);
    const reached = await version(trx);
    for (const [index, migration] of MIGRATIONS.entries()) {
      if (index < reached) continue;
      for (const statement of migration.statements(postgres ? POSTGRES : SQLITE)) {
        await sql.raw(statement).execute(trx);
      }
      await (trx as unknown as Kysely<Versions>)
        .insertInto('schemaVersions')
        .values({ version: index + 1, name: migration.name, at: now() })
        .execute();
    }
  });
}

/** The schema's version, and the one that this CHOM brings it to. @throws InventoryUnavailable as `migrate` */
export async function schemaVersion(db: Db): Promise<{ reached: number; known: number }> {
  return { reached: await version(db), known: MIGRATIONS.length };
}

async function version(db: Db): Promise<number> {
  const tables = isPostgres(db)
    ? sql<{ n: number }>`select count(*) as n from information_schema.tables
        where table_schema = current_schema() and table_name = 'schema_versions'`
    : sql<{ n: number }>`select count(*) as n from sqlite_schema where type = 'table' and name = 'schema_versions'`;
  if ((await tables.execute(db)).rows[0]?.n === 0) return 0;
  const { max } = await (db as unknown as Kysely<Versions>)
    .selectFrom('schemaVersions')
    .select((row) => row.fn.max('version').as('max'))
    .executeTakeFirstOrThrow();
  const reached = max ?? 0;
  if (reached > MIGRATIONS.length) {
    throw failure('InventoryUnavailable', 'The inventory was made by a newer CHOM', {
      cause: `its schema has version ${reached}, this CHOM knows ${MIGRATIONS.length}`,
      next: 'upgrade CHOM on this machine',
    });
  }
  return reached;
}

function isPostgres(db: Db): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter;
}
