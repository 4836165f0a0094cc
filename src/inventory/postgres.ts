import { CompiledQuery, type Dialect, type Driver, PostgresDialect, type PostgresDialectConfig } from 'kysely';
import { Pool, types } from 'pg';
import { ReadingDriver } from './reading.js';

/** Object id of int8 (pg_type.dat). node-pg gives it as text; our counters stay far below 2^53. */
const INT8 = 20;

/** Small pools: transactions take milliseconds, and PostgreSQL's own limit is 100 connections for all workers. */
const READERS = 4;
const WRITERS = 4;

/** One pool that can only read, one that writes. */
export function postgresDialects(url: string, patience: number): { reading: Dialect; writing: Dialect } {
  return {
    reading: new InventoryDialect(
      poolOf(url, READERS, 'set default_transaction_read_only = on'),
      (driver) => new ReadingDriver(driver, patience),
    ),
    writing: new InventoryDialect(poolOf(url, WRITERS, 'set synchronous_commit = on'), (driver) => driver),
  };
}

function poolOf(url: string, max: number, setUp: string): PostgresDialectConfig {
  const pool = () => {
    const made = new Pool({
      connectionString: url,
      max,
      application_name: 'chom',
      connectionTimeoutMillis: 5000,
      idleTimeoutMillis: 30_000,
      keepAlive: true,
      lock_timeout: 5000,
      statement_timeout: 30_000,
      // A worker that hangs in a transaction must not keep its locks.
      idle_in_transaction_session_timeout: 30_000,
      types: { getTypeParser },
    });
    // A connection that breaks, idle or in use, fails at its next query; without listeners it would end the process.
    made.on('error', () => undefined);
    made.on('connect', (client) => client.on('error', () => undefined));
    return Promise.resolve(made);
  };
  return {
    pool,
    onCreateConnection: async (connection) => void (await connection.executeQuery(CompiledQuery.raw(setUp))),
  };
}

const getTypeParser: typeof types.getTypeParser = (oid: number, format?: 'text' | 'binary') =>
  oid === INT8 && format !== 'binary' ? Number : types.getTypeParser(oid, format);

class InventoryDialect extends PostgresDialect {
  constructor(
    settings: PostgresDialectConfig,
    private readonly wrap: (driver: Driver) => Driver,
  ) {
    super(settings);
  }

  override createDriver(): Driver {
    return this.wrap(super.createDriver());
  }
}
