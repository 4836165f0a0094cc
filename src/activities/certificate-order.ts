import { randomUUID } from 'node:crypto';
import * as certificates from '../inventory/certificates.js';
import { failure } from '../workflows/failures.js';
import type { CertificatePlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import { messageOf } from '../workflows/thrown.js';
import { asAccount, prepareAccount } from './acme-account.js';
import { AcmeProblem, authorityFailure, failureType } from './acme-problem.js';
import { type Account, type Authority, openAuthority, type Order } from './authority.js';
import { covers, readCertificate } from './certificate-facts.js';
import type { Deps } from './deps.js';
import { fence } from './workplace.js';

/** An order as the workflow carries it. */
export interface PlacedOrder {
  url: string;
  /** The attempt of the operation in which it was placed. */
  attempt: number;
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
  let opened: Promise<Authority> | undefined;

  async function authority(): Promise<Authority> {
    const { acmeDirectory, acmeCaFile } = deps.config;
    opened ??= openAuthority({ directory: acmeDirectory, caFile: acmeCaFile ?? null });
    try {
      return await opened;
    } catch (error) {
      opened = undefined;
      const cause = messageOf(error);
      throw failure('InvalidInput', 'The certificate authority is not set up', {
        cause,
        next: 'set CHOM_ACME_DIRECTORY and CHOM_ACME_CA_FILE, and start the worker again',
      });
    }
  }

  async function exchange<Result>(
    step: StepContext,
    doing: string,
    work: (authority: Authority, account: Account) => Promise<Result>,
  ): Promise<Result> {
    const at = await authority();
    return await asAccount(deps, at, step, doing, async (account) => await work(at, account));
  }

  return {
    /** Sees that we have an account that the authority knows. `renewed`: it had forgotten us. */
    async prepareAcmeAccount(step: StepContext): Promise<{ authority: string; renewed: boolean }> {
      const at = await authority();
      try {
        const { renewed } = await prepareAccount(deps, at, step);
        return { authority: at.host, renewed };
      } catch (error) {
        throw authorityFailure(error, at.host, 'prepare the account');
      }
    },

    async placeOrder(step: StepContext, names: string[]): Promise<PlacedOrder> {
      const doing = `order a certificate for ${names[0]}`;
      return await exchange(step, doing, async (at, account) => {
        const { url } = await at.order(account, names);
        return { url, attempt: step.attempt };
      });
    },

    /** What has to be served so that the authority sees who holds the names; empty where it knows already. */
    async readChallenges(step: StepContext, order: PlacedOrder): Promise<PendingChallenge[]> {
      return await exchange(step, 'read the challenges', async (at, account) => {
        const found = await at.challenges(account, await at.orderAt(account, order.url));
        const pending = found.filter(({ authorization }) => authorization === 'pending');
        return pending.map(({ name, token, keyAuthorization }) => ({ name, token, content: keyAuthorization }));
      });
    },

    /** Asks the authority to look. One that is already looking, or has looked, is not asked again. */
    async acceptChallenges(step: StepContext, order: PlacedOrder): Promise<void> {
      await exchange(step, 'ask for validation', async (at, account) => {
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
      return await exchange(step, 'read the order', async (at, account) => {
        return await stateOf(at, account, step, order, await find(at, account, order));
      });
    },

    /** Hands in the request of the server's key, unless that was done. The order must be ready; else it is told how far. */
    async finalizeOrder(step: StepContext, order: PlacedOrder, request: string): Promise<OrderState> {
      return await exchange(step, 'finalize the order', async (at, account) => {
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
      const chain = await exchange(step, 'download the certificate', async (at, account) => {
        return await at.download(account, await at.orderAt(account, order.url));
      });
      const facts = readChain(chain);
      const before = await certificates.installed(deps.inventory.db, plan.site);
      if (!covers(facts, names, Date.now())) {
        throw failure(
          'CertificateRefused',
          `The certificate from the authority does not hold ${names.join(', ')} today`,
        );
      }
      if (!plan.force && before && covers(before, names, Date.now()) && before.notAfter > facts.notAfter) {
        throw failure(
          'CertificateRefused',
          `The new certificate ends ${facts.notAfter}, the installed one ${before.notAfter}`,
          {
            cause: 'The installed certificate is the better one, and stays.',
          },
        );
      }
      return await deps.inventory.fenced(fence(step), async (trx) => {
        const { id } = await certificates.record(trx, { ...facts, id: randomUUID(), site: plan.site, chain });
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
  placed: PlacedOrder,
  order: Order | null,
): Promise<OrderState> {
  if (order && order.status !== 'invalid') {
    return { status: order.status, retryAfterSeconds: order.retryAfterSeconds };
  }
  if (step.attempt > placed.attempt) return { status: 'lost', retryAfterSeconds: null };
  if (!order) throw failure('AuthorityError', `${authority.host} no longer knows the order ${placed.url}`);
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
