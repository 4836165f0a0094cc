import { failure } from '../workflows/failures.js';
import { accountPlan } from '../workflows/account-plan.js';
import { askFor } from './ask-for.js';
import type { Chom } from './open.js';
import { newOperationId } from './submit.js';

/** A change of the key of CHOM's account at a certificate authority, as it is wanted. */
export interface AccountRoll {
  /** At the second authority. */
  fallback?: boolean;
  /** Its id; made up unless said. Asked for under one id twice, it is done once. */
  operation?: string;
}

/**
 * Asks for CHOM's account at a certificate authority to be given another key. Returns the operation's id.
 * @throws InvalidInput there is no second authority; TemporalUnavailable
 */
export async function rollAccount(chom: Chom, { fallback = false, operation }: AccountRoll = {}): Promise<string> {
  const { tenant, config } = chom;
  if (fallback && config.acmeFallbackDirectory === undefined) {
    throw failure('InvalidInput', 'There is no second certificate authority', {
      next: 'set CHOM_ACME_FALLBACK_DIRECTORY, and start the worker again',
    });
  }
  const kind = 'roll-acme-account';
  const input = accountPlan.parse({ tenant, fallback });
  const summary = `Change the key of the account at the ${fallback ? 'second ' : ''}certificate authority`;
  const request = { kind, input, summary, tenant, server: null, serverName: '' } as const;
  return await askFor(chom, request, operation ?? newOperationId(kind));
}
