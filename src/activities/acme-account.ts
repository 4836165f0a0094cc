import * as accounts from '../inventory/accounts.js';
import * as credentials from '../inventory/credentials.js';
import { failure } from '../workflows/failures.js';
import type { StepContext } from '../workflows/step.js';
import { accountKeyId, makeAccountKey } from './account-key.js';
import { AcmeProblem, authorityFailure } from './acme-problem.js';
import type { Account, Authority } from './authority.js';
import type { Deps } from './deps.js';
import { fence } from './workplace.js';

type AccountDeps = Pick<Deps, 'inventory' | 'keyring' | 'config'>;

/**
 * Our one account at an authority, made where there is none. Its key has an id of its own in the inventory, so that two
 * operations that make it at once make the same one; and the authority gives the same account to the same key. One that
 * the authority no longer knows is registered again, with that key. `renewed` says so.
 * @throws CertificateRefused it was deactivated or revoked; AuthorityUnreachable, AuthorityError, RateLimited
 */
export async function prepareAccount(
  deps: AccountDeps,
  authority: Authority,
  step: StepContext,
): Promise<{ account: Account; renewed: boolean }> {
  const contact = deps.config.acmeContact ?? null;
  const known = await accounts.byDirectory(deps.inventory.db, authority.directory);
  if (!known) return { account: await register(deps, authority, step), renewed: false };
  const account = await opened(deps, known);
  try {
    const status = await authority.accountStatus(account, contact);
    if (status === 'valid') return { account, renewed: false };
    throw refused(authority, known.url, status);
  } catch (error) {
    if (!(error instanceof AcmeProblem)) throw error;
    const changed = await takeChangedKey(deps, authority, step, error);
    if (changed) return { account: changed, renewed: false };
    if (error.problem.type === 'unauthorized') throw refused(authority, known.url, error.problem.detail);
    if (error.problem.type !== 'accountDoesNotExist') throw error;
    return { account: await register(deps, authority, step), renewed: true };
  }
}

/**
 * Does one ACME step with our account, and says what failed by our types. An account that the authority forgot in the
 * middle of an operation is registered again, once.
 */
export async function asAccount<Result>(
  deps: AccountDeps,
  authority: Authority,
  step: StepContext,
  doing: string,
  work: (account: Account) => Promise<Result>,
): Promise<Result> {
  try {
    const known = await accounts.byDirectory(deps.inventory.db, authority.directory);
    const account = known ? await opened(deps, known) : await register(deps, authority, step);
    try {
      return await work(account);
    } catch (error) {
      if (!(error instanceof AcmeProblem)) throw error;
      const changed = await takeChangedKey(deps, authority, step, error);
      if (changed) return await work(changed);
      if (error.problem.type !== 'accountDoesNotExist') throw error;
      return await work(await register(deps, authority, step));
    }
  } catch (error) {
    throw authorityFailure(error, authority.host, doing);
  }
}

async function register({ inventory, keyring, config }: AccountDeps, authority: Authority, step: StepContext) {
  const { directory } = authority;
  const contact = config.acmeContact ?? null;
  const known = await accounts.byDirectory(inventory.db, directory);
  const id = known?.credential ?? accountKeyId(directory);
  const secret = makeAccountKey();
  // The key is kept before it is used: what is registered is never lost.
  const credential = await inventory.fenced(fence(step), async (trx) => {
    return await credentials.put(trx, keyring, {
      id,
      server: null,
      kind: 'acme-account',
      public: null,
      secret,
      state: 'current',
    });
  });
  const key = credentials.open(credential, keyring).toString();
  const url = await authority.register(key, contact);
  await inventory.fenced(fence(step), async (trx) => {
    await accounts.put(trx, { directory, url, credential: id, contact });
  });
  return { key, url };
}

/** What an authority says to whoever signs with a key that is not the account's (any more). */
const ANOTHER_KEY = ['accountDoesNotExist', 'unauthorized', 'malformed', 'badPublicKey'];

/**
 * Where a change of the account's key was left between the authority and the inventory, the key that the authority goes by
 * by now; it is the one in use from then on. Null where that is not what is wrong. @throws AcmeProblem; AcmeSilence
 */
export async function takeChangedKey(
  { inventory, keyring }: AccountDeps,
  authority: Authority,
  step: StepContext,
  error?: AcmeProblem,
): Promise<Account | null> {
  if (error && !ANOTHER_KEY.includes(error.problem.type)) return null;
  const { directory } = authority;
  const known = await accounts.byDirectory(inventory.db, directory);
  if (!known) return null;
  for (const next of await accounts.nextKeys(inventory.db, accountKeyId(directory))) {
    const key = credentials.open(next, keyring).toString();
    if ((await authority.existing(key)) !== known.url) continue;
    await inventory.fenced(fence(step), async (trx) => {
      await accounts.changeKey(trx, { directory, to: next.id, all: accountKeyId(directory) });
    });
    return { key, url: known.url };
  }
  return null;
}

async function opened({ inventory, keyring }: AccountDeps, { credential, url }: accounts.Account): Promise<Account> {
  return { key: credentials.open(await credentials.byId(inventory.db, credential), keyring).toString(), url };
}

function refused(authority: Authority, url: string, why: string) {
  return failure('CertificateRefused', `${authority.host} refuses our account ${url}: ${why}`, {
    cause: 'The account was deactivated by its holder, or revoked by the authority.',
  });
}
