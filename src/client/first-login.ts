import * as operations from '../inventory/operations.js';
import type { Operation } from '../inventory/operations.js';
import * as secrets from '../inventory/secrets.js';
import { ADMIN_PASSWORD, sitePlan } from '../workflows/plans.js';
import type { Told } from './follow.js';
import type { Chom } from './open.js';

/**
 * The first login that an operation has made, shown to whoever sees its end first, and then kept nowhere.
 * Nothing where it made none, or where it was shown already.
 */
export async function tellLogin(chom: Chom, operation: Operation): Promise<Told> {
  const { inventory, keyring } = chom;
  const secret = { operation: operation.id, name: ADMIN_PASSWORD };
  // Most operations have none: they need no transaction for it.
  if ((await secrets.find(inventory.db, keyring, secret)) === null) return { document: {}, text: '' };
  const password = await inventory.transaction((trx) => secrets.take(trx, keyring, secret));
  if (password === null) return { document: {}, text: '' };
  const { wordpress } = sitePlan.parse(operations.openInput(operation, keyring));
  const admin = { user: wordpress?.adminUser ?? '', password: password.toString() };
  const text = `\nThe administrator's first login. It is shown once and kept nowhere:\n\n  ${admin.user}\n  ${admin.password}`;
  return { document: { admin }, text };
}
