import * as accounts from '../inventory/accounts.js';
import * as credentials from '../inventory/credentials.js';
import * as events from '../inventory/events.js';
import * as operations from '../inventory/operations.js';
import type { AccountPlan } from '../workflows/account-plan.js';
import { failure } from '../workflows/failures.js';
import type { StepContext } from '../workflows/step.js';
import { accountKeyId, makeAccountKey } from './account-key.js';
import { takeChangedKey } from './acme-account.js';
import { AcmeProblem, authorityFailure } from './acme-problem.js';
import { authorities } from './authorities.js';
import type { Authority } from './authority.js';
import type { Deps } from './deps.js';
import { fence } from './workplace.js';

/** The steps by which our account at an authority gets another key. */
export function accountRollActivities(deps: Deps) {
  const { inventory, keyring } = deps;
  const known = authorities(deps.config);

  async function accountAt({ directory, host }: Authority): Promise<accounts.Account> {
    const account = await accounts.byDirectory(inventory.db, directory);
    if (account) return account;
    throw failure('NotFound', `CHOM has no account at ${host}`, {
      cause: 'it is made with the first certificate',
      next: 'chom certificate issue DOMAIN',
    });
  }

  async function opened(id: string): Promise<string> {
    return credentials.open(await credentials.byId(inventory.db, id), keyring).toString();
  }

  async function exchange<Result>(
    plan: AccountPlan,
    doing: string,
    work: (authority: Authority) => Promise<Result>,
  ): Promise<Result> {
    const authority = await known.get(plan.fallback);
    try {
      return await work(authority);
    } catch (error) {
      const { host } = authority;
      if (!(error instanceof AcmeProblem) || error.problem.type !== 'unauthorized')
        throw authorityFailure(error, host, doing);
      throw failure('CertificateRefused', `Could not ${doing}: ${host} answered ${error.message}`, {
        cause: 'the account was deactivated by its holder, or revoked by the authority',
      });
    }
  }

  return {
    /** One that another change left with a key that nobody recorded is put right first. @throws NotFound; those of an authority */
    async findAccount(step: StepContext, plan: AccountPlan): Promise<void> {
      await exchange(plan, 'look for the account', async (authority) => {
        await accountAt(authority);
        await takeChangedKey(deps, authority, step);
      });
    },

    /** Kept, sealed, before the authority hears of it. */
    async makeNextAccountKey(step: StepContext, plan: AccountPlan): Promise<void> {
      const { directory } = await known.get(plan.fallback);
      const key = { id: nextKey(step, directory), server: null, kind: 'acme-account', public: null } as const;
      await inventory.fenced(fence(step), async (trx) => {
        await credentials.put(trx, keyring, { ...key, secret: makeAccountKey(), state: 'next' });
      });
    },

    /**
     * Where no answer came, or not a good one, which of the two keys has the account is asked before anything is done about it.
     * @throws those of an authority
     */
    async changeAccountKey(step: StepContext, plan: AccountPlan): Promise<void> {
      await exchange(plan, "change the account's key", async (authority) => {
        // In this order: a change that another operation finished has taken our key away, and then there is none to be read.
        const { credential, url } = await accountAt(authority);
        const old = await opened(credential);
        const next = nextKey(step, authority.directory);
        if (credential === next) return;
        const key = await opened(next);
        if ((await authority.existing(key)) === url) return;
        try {
          await authority.changeKey({ key: old, url }, key);
        } catch (error) {
          if ((await authority.existing(key)) !== url) throw error;
        }
      });
    },

    async useNextAccountKey(step: StepContext, plan: AccountPlan): Promise<void> {
      const { directory, host } = await known.get(plan.fallback);
      const { operation } = step;
      await inventory.fenced(fence(step), async (trx) => {
        const to = nextKey(step, directory);
        await accounts.changeKey(trx, { directory, to, all: accountKeyId(directory) });
        await operations.commitOperation(trx, operation);
        const { url } = (await accounts.byDirectory(trx, directory)) ?? {};
        const about = { operation, tenant: plan.tenant, server: null, site: null };
        await events.emit(trx, { ...about, type: 'CertificateAccountRolled', data: { authority: host, account: url } });
      });
    },
  };
}

function nextKey({ operation }: StepContext, directory: string): string {
  return `${accountKeyId(directory)}/${operation}`;
}
