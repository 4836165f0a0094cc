import { randomUUID } from 'node:crypto';
import * as certificates from '../inventory/certificates.js';
import * as renewals from '../inventory/renewals.js';
import { failure } from '../workflows/failures.js';
import type { CertificatePlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import { messageOf } from '../workflows/thrown.js';
import { asAccount, prepareAccount } from './acme-account.js';
import { AcmeProblem, authorityFailure, failureType } from './acme-problem.js';
import { authorities } from './authorities.js';
import type { Account, Authority, Order } from './authority.js';
import { covers, readCertificate } from './certificate-facts.js';
import type { Deps } from './deps.js';
import { placeReplacing, replacedBy } from './renewal-order.js';
import { fence } from './workplace.js';

/** An order as the workflow carries it. */
export interface PlacedOrder {
  url: string;
  /** The attempt of the operation in which it was placed. */
  attempt: number;
  /** At the second authority. */
  fallback?: boolean;
}

/** How far an order is. `lost`: it failed in an earlier attempt, and this one needs a new one. */
export interface OrderState {
  status: 'pending' | 'ready' | 'processing' | 'valid' | 'lost';
  retryAfterSeconds: number | null;
}

/** A challenge that waits for us: what is to be served for a name. */
export interface PendingChallenge {
  name: string;
  token: string;
  content: string;
}

/**
 * The steps at the certificate authority: each is one exchange of RFC 8555, looks before it acts, and never waits. A
 * reply that is lost is found again by the order's URL. Where the reply to newOrder itself is lost there is no URL, and
 * the next attempt asks again: Let's Encrypt then returns the order that is there (boulder, order re-use), and others
 * hold one more that expires unused.
 */
export function certificateOrderActivities(deps: Deps) {
  const known = authorities(deps.config);

  async function exchange<Result>(
    step: StepContext,
    { fallback = false }: { fallback?: boolean },
    doing: string,
    work: (authority: Authority, account: Account) => Promise<Result>,
  ): Promise<Result> {
    const at = await known.get(fallback);
    return await asAccount(deps, at, step, doing, async (account) => await work(at, account));
  }

  return {
    /** Sees that we have an account that the authority knows. `renewed`: it had forgotten us. */
    async prepareAcmeAccount(
      step: StepContext,
      plan?: CertificatePlan,
    ): Promise<{ authority: string; renewed: boolean }> {
      const at = await known.get(plan?.renewal?.fallback ?? false);
      try {
        const { renewed } = await prepareAccount(deps, at, step);
        return { authority: at.host, renewed };
      } catch (error) {
        throw authorityFailure(error, at.host, 'prepare the account');
      }
    },

    /** A renewal says which certificate it replaces: an authority that advises holds no limit against those. */
    async placeOrder(step: StepContext, names: string[], plan?: CertificatePlan): Promise<PlacedOrder> {
      const doing = `order a certificate for ${names[0]}`;
      const fallback = plan?.renewal?.fallback ?? false;
      let replaces = plan?.renewal ? await replacedBy(deps, plan.renewal.certificate, await known.get(fallback)) : null;
      return await exchange(step, { fallback }, doing, async (at, account) => {
        // An account that is registered again does not know the certificates of the one before.
        const said = replaces;
        replaces = null;
        const { url } = await placeReplacing(at, account, names, said);
        return { url, attempt: step.attempt, ...(fallback && { fallback }) };
      });
    },

    /** What has to be served so that the authority sees who holds the names; empty where it knows already. */
    async readChallenges(step: StepContext, order: PlacedOrder): Promise<PendingChallenge[]> {
      return await exchange(step, order, 'read the challenges', async (at, account) => {
        const found = await at.challenges(account, await at.orderAt(account, order.url));
        const pending = found.filter(({ authorization }) => authorization === 'pending');
        return pending.map(({ name, token, keyAuthorization }) => ({ name, token, content: keyAuthorization }));
      });
    },

    /** Asks the authority to look. One that is already looking, or has looked, is not asked again. */
    async acceptChallenges(step: StepContext, order: PlacedOrder): Promise<void> {
      await exchange(step, order, 'ask for validation', async (at, account) => {
        const found = await at.challenges(account, await at.orderAt(account, order.url));
        for (const { authorization, status, url } of found) {
          if (authorization === 'pending' && status === 'pending') await at.accept(account, url);
        }
      });
    },

    /**
     * How far the order is. One that failed is an error in the attempt that placed it, and `lost` in a later one: a
     * failed validation cannot be tried again on the same order (letsencrypt.org/docs/integration-guide, 2026-08).
     * @throws ValidationFailed, DomainNotPointed, CertificateRefused with what the authority says of each name
     */
    async readOrder(step: StepContext, order: PlacedOrder): Promise<OrderState> {
      return await exchange(step, order, 'read the order', async (at, account) => {
        return await stateOf(at, account, step, order, await find(at, account, order));
      });
    },

    /** Hands in the request of the server's key, unless that was done. The order must be ready; else it is told how far. */
    async finalizeOrder(step: StepContext, order: PlacedOrder, request: string): Promise<OrderState> {
      return await exchange(step, order, 'finalize the order', async (at, account) => {
        const found = await find(at, account, order);
        if (found?.status !== 'ready') return await stateOf(at, account, step, order, found);
        try {
          return await stateOf(at, account, step, order, await at.finalize(account, found, request));
        } catch (error) {
          // Ready by one of its machines, not yet by another (certbot pull request 10239).
          if (!(error instanceof AcmeProblem) || error.problem.type !== 'orderNotReady') throw error;
          return await stateOf(at, account, step, order, await at.orderAt(account, order.url));
        }
      });
    },

    /**
     * Fetches the chain and keeps it in the inventory. Returns the certificate's id there.
     * @throws CertificateRefused it is not what was ordered, or worse than the one that is installed
     */
    async downloadCertificate(
      step: StepContext,
      plan: CertificatePlan,
      order: PlacedOrder,
      names: string[],
    ): Promise<{ id: string }> {
      const { chain, authority } = await exchange(step, order, 'download the certificate', async (at, account) => {
        const downloaded = await at.download(account, await at.orderAt(account, order.url));
        return { chain: downloaded, authority: at.directory };
      });
      const facts = readChain(chain);
      const before = await certificates.installed(deps.inventory.db, plan.site);
      if (!covers(facts, names, Date.now())) {
        throw failure(
          'CertificateRefused',
          `The certificate from the authority does not hold ${names.join(', ')} today`,
        );
      }
      const better = before && covers(before, names, Date.now()) && before.notAfter > facts.notAfter;
      if (!plan.force && better && !(await renewals.isAdvised(deps.inventory.db, plan.site))) {
        throw failure(
          'CertificateRefused',
          `The new certificate ends ${facts.notAfter}, the installed one ${before.notAfter}`,
          {
            cause: 'The installed certificate is the better one, and stays.',
          },
        );
      }
      return await deps.inventory.fenced(fence(step), async (trx) => {
        const { id } = await certificates.record(trx, {
          ...facts,
          id: randomUUID(),
          site: plan.site,
          chain,
          authority,
        });
        return { id };
      });
    },
  };
}

/** Null where the authority does not know the order: it lost its memory, or our account is a new one. */
async function find(authority: Authority, account: Account, { url }: PlacedOrder): Promise<Order | null> {
  try {
    return await authority.orderAt(account, url);
  } catch (error) {
    if (error instanceof AcmeProblem && (error.status === 404 || error.problem.type === 'unauthorized')) return null;
    throw error;
  }
}

async function stateOf(
  authority: Authority,
  account: Account,
  step: StepContext,
  { url, attempt }: PlacedOrder,
  order: Order | null,
): Promise<OrderState> {
  if (order && order.status !== 'invalid') {
    return { status: order.status, retryAfterSeconds: order.retryAfterSeconds };
  }
  if (step.attempt > attempt) return { status: 'lost', retryAfterSeconds: null };
  if (!order) throw failure('AuthorityError', `${authority.host} no longer knows the order ${url}`);
  const challenges = await authority.challenges(account, order);
  const reasons = challenges.flatMap(({ name, problem }) => (problem ? [{ name, problem }] : []));
  const [first] = reasons;
  if (!first) {
    const problem = order.problem ?? { type: 'unknown', detail: 'it gave no reason' };
    throw failure(failureType(problem), `${authority.host} gave up the order: ${problem.type}: ${problem.detail}`);
  }
  const told = reasons.slice(0, 3).map(({ name, problem }) => `${name}: ${problem.type}: ${problem.detail}`);
  throw failure(failureType(first.problem), `${authority.host} did not accept the domain: ${told.join('; ')}`, {
    cause: 'What the authority found under the name on port 80 is not what this server serves there.',
    next: `dig ${first.name} A; dig ${first.name} AAAA; dig ${first.name} CAA`,
  });
}

function readChain(chain: string) {
  try {
    return readCertificate(chain);
  } catch (error) {
    throw failure('AuthorityError', 'What the authority sent as the certificate is none', {
      cause: messageOf(error),
    });
  }
}
