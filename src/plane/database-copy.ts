import type { InventoryLocation } from '../inventory/database.js';
import { failure } from '../workflows/failures.js';
import { mysqlDatabase } from './mysql-copy.js';
import { postgresDatabase } from './postgres-copy.js';
import type { SourceDatabase } from './source-database.js';
import { sqliteDatabase } from './sqlite-copy.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** The inventory's own database. */
export function inventoryDatabase(where: InventoryLocation, environment: Environment): SourceDatabase {
  return 'url' in where ? postgresDatabase(where.url, environment) : sqliteDatabase(where.file);
}

/** One that is none of CHOM's: `mysql://USER@HOST:PORT/DATABASE`. @throws InvalidInput */
export function foreignDatabase(text: string, password: string | undefined, environment: Environment): SourceDatabase {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !/^(mysql|mariadb):$/.test(url.protocol) || !/^\/[^/]+$/.test(url.pathname)) {
    throw failure('InvalidInput', 'That is no address of a MySQL or MariaDB database', {
      next: '--source mysql://USER@HOST:3306/DATABASE',
    });
  }
  if (url.password !== '') {
    // Everybody on this machine can read a command line.
    throw failure('InvalidInput', 'The password does not belong into --source', {
      cause: 'command lines are seen by all users of this machine',
      next: 'set CHOM_SOURCE_PASSWORD to it',
    });
  }
  return mysqlDatabase(url, password, environment);
}
