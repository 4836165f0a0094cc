import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { CompiledQuery, type Dialect, type Driver, PostgresDialect, type PostgresDialectConfig } from 'kysely';
import { Pool, types } from 'pg';
import { ReadingDriver } from './reading.js';

/** Object id of int8 (pg_type.dat). node-pg gives it as text; our counters stay far below 2^53. */
const INT8 = 20;

/** Small pools: transactions take milliseconds, and PostgreSQL's own limit is 100 connections for all workers. */
const READERS = 4;
const WRITERS = 4;

/**
 * Longer than any query may take (`statement_timeout`) or a connection lies idle. The server's own limits say nothing of
 * one that is gone without a word: TCP alone waits for it for a quarter of an hour.
 */
const SILENCE_MS = 40_000;

/** One pool that can only read, one that writes. */
export function postgresDialects(
  url: string,
  patience: number,
  silence = SILENCE_MS,
): { reading: Dialect; writing: Dialect } {
  return {
    reading: new InventoryDialect(
      poolOf(url, silence, READERS, 'set default_transaction_read_only = on'),
      (driver) => new ReadingDriver(driver, patience),
    ),
    writing: new InventoryDialect(poolOf(url, silence, WRITERS, 'set synchronous_commit = on'), (driver) => driver),
  };
}

function poolOf(url: string, silence: number, max: number, setUp: string): PostgresDialectConfig {
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
    made.on('connect', (client) => {
      client.on('error', () => undefined);
      endWhenSilent(client.connection.stream, silence);
    });
    return Promise.resolve(made);
  };
  return {
    pool,
    onCreateConnection: async (connection) => void (await connection.executeQuery(CompiledQuery.raw(setUp))),
  };
}

/** What was under way on it fails as with any connection that is lost. */
function endWhenSilent(stream: Duplex, silence: number): void {
  if (!(stream instanceof Socket)) return;
  stream.setTimeout(silence, () => {
    stream.destroy(new Error(`Connection terminated: PostgreSQL said nothing for ${silence / 1000} s`));
  });
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
