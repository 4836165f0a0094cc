import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { Keyring } from './keyring.js';
import { seal } from './sealing.js';

/** A secret that an operation puts to use, for example the first password of an administrator, by operation and name. */
export interface SecretName {
  operation: string;
  name: string;
}

/** Keeps it, sealed, for this operation alone. */
export async function put(trx: Trx, keyring: Keyring, { operation, name }: SecretName, secret: Buffer): Promise<void> {
  const sealed = await seal(trx, keyring, secret, context({ operation, name }));
  // Run again after a commit of unknown effect, it finds what it wrote.
  await trx
    .insertInto('operationSecrets')
    .values({ operation, name, sealed, createdAt: now() })
    .onConflict((conflict) => conflict.columns(['operation', 'name']).doNothing())
    .execute();
}

/** Null when there is none, or when it was taken already. @throws Forbidden as `Keyring.open` */
export async function find(db: Db, keyring: Keyring, secret: SecretName): Promise<Buffer | null> {
  const row = await db
    .selectFrom('operationSecrets')
    .select('sealed')
    .where('operation', '=', secret.operation)
    .where('name', '=', secret.name)
    .executeTakeFirst();
  return row ? keyring.open(row.sealed, context(secret)) : null;
}

/** @throws NotFound; Forbidden as `Keyring.open` */
export async function open(db: Db, keyring: Keyring, secret: SecretName): Promise<Buffer> {
  const found = await find(db, keyring, secret);
  if (found) return found;
  throw failure('NotFound', `There is no ${secret.name} for operation ${secret.operation}`);
}

/** Gives it out and forgets it: of two who ask, one gets it. */
export async function take(trx: Trx, keyring: Keyring, secret: SecretName): Promise<Buffer | null> {
  const { operation, name } = secret;
  const taken = trx.deleteFrom('operationSecrets').where('operation', '=', operation).where('name', '=', name);
  const row = await taken.returning('sealed').executeTakeFirst();
  return row ? keyring.open(row.sealed, context(secret)) : null;
}

/** All of an operation. None is no error. */
export async function remove(trx: Trx, operation: string): Promise<void> {
  await trx.deleteFrom('operationSecrets').where('operation', '=', operation).execute();
}

/**
 * Removes those made before `olderThan` (ISO-8601 UTC) for an operation that nobody asked for, or that was cancelled
 * before it began. Returns how many.
 */
export async function sweep(trx: Trx, olderThan: string): Promise<number> {
  const abandoned = trx
    .deleteFrom('operationSecrets')
    .where('createdAt', '<', olderThan)
    .where('operation', 'not in', (needed) =>
      needed
        .selectFrom('operations')
        .select('id')
        .where((or) => or.or([or('outcome', 'is', null), or('outcome', '=', 'succeeded')])),
    );
  return Number((await abandoned.executeTakeFirst()).numDeletedRows);
}

/** What it is sealed for: nothing else opens it. */
export function context({ operation, name }: SecretName): string {
  return `secret/${operation}/${name}`;
}
