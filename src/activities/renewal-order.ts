import * as certificates from '../inventory/certificates.js';
import { AcmeProblem, authorityFailure } from './acme-problem.js';
import type { Account, Authority, Order } from './authority.js';
import type { Deps } from './deps.js';
import { renewalInfoId } from './renewal-info.js';

// Already replaced, another account's, unknown, for other names (RFC 9773 §5; boulder, wfe2, 2026-08). Pebble answers 500 where
// it does not know the serial number.
const REFUSES_REPLACING = new Set([400, 403, 404, 409, 500]);

/** By what this authority knows the certificate that is to be replaced; null where it does not, or does not want to be told. */
export async function replacedBy({ inventory }: Deps, certificate: string, at: Authority): Promise<string | null> {
  const before = await certificates.byId(inventory.db, certificate);
  if (before.authority !== at.directory) return null;
  try {
    return (await at.advises()) ? renewalInfoId(before.chain) : null;
  } catch (error) {
    throw authorityFailure(error, at.host, 'read the directory');
  }
}

/** An order, without the word of what it replaces where that is what the authority refuses. */
export async function placeReplacing(
  at: Authority,
  account: Account,
  names: readonly string[],
  replaces: string | null,
): Promise<Order> {
  try {
    return await at.order(account, names, replaces);
  } catch (error) {
    const refused = error instanceof AcmeProblem && replaces !== null && REFUSES_REPLACING.has(error.status);
    // Whatever else it refuses, it refuses again.
    if (!refused || error.problem.type === 'rateLimited' || error.problem.type === 'accountDoesNotExist') throw error;
    return await at.order(account, names);
  }
}
