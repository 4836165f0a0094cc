import { isIPv6 } from 'node:net';
import * as tokens from '../inventory/api-tokens.js';
import type { ApiToken } from '../inventory/api-tokens.js';
import type { Inventory } from '../inventory/database.js';
import { Allowance, type Rate } from './allowance.js';
import { Refusal } from './problem.js';

export interface Rates {
  /** Requests of one token. */
  requests: Rate;
  /** Tokens from one address that are none. */
  failures: Rate;
}

export const RATES: Rates = { requests: { burst: 100, perSecond: 10 }, failures: { burst: 10, perSecond: 0.2 } };

/** Who may ask, and how often. */
export class Bearers {
  private readonly requests: Allowance;
  private readonly failures: Allowance;
  private readonly noting = new Set<string>();

  constructor(
    private readonly inventory: Inventory,
    rates: Rates,
  ) {
    this.requests = new Allowance(rates.requests);
    this.failures = new Allowance(rates.failures);
  }

  /**
   * The token of a request. What is wrong with one that may not be used is not said: unknown, expired and revoked are alike.
   * @param address the client's, as the socket has it
   */
  async admit(authorization: string | undefined, address: string): Promise<ApiToken> {
    const [, text = ''] = /^Bearer +([^\s]+) *$/i.exec(authorization ?? '') ?? [];
    const token = tokens.looksLikeToken(text) ? await tokens.usable(this.inventory.db, text) : null;
    if (!token) {
      // Only who fails is slowed down: others behind the same address go on.
      const wait = this.failures.take(networkOf(address));
      if (wait > 0) throw tooMany(wait);
      throw new Refusal(401, 'The request has no token that is valid', {
        cause: 'it has none, or one that is unknown, expired or revoked',
        next: 'Authorization: Bearer chom_…, which the administrator makes by: chom token create NAME',
        headers: { 'WWW-Authenticate': 'Bearer realm="chom"' },
      });
    }
    const wait = this.requests.take(token.id);
    if (wait > 0) throw tooMany(wait);
    this.noteUse(token);
    return token;
  }

  /** Beside the request, which need not wait for it nor fail with it. */
  private noteUse(token: ApiToken): void {
    if (!tokens.isUseDue(token) || this.noting.has(token.id)) return;
    this.noting.add(token.id);
    void this.inventory
      .transaction(async (trx) => await tokens.noteUse(trx, token.id))
      .catch(() => undefined)
      .finally(() => this.noting.delete(token.id));
  }
}

function tooMany(seconds: number): Refusal {
  return new Refusal(429, 'There were too many requests', {
    cause: `the next is answered in ${seconds} s`,
    headers: { 'Retry-After': String(seconds) },
  });
}

/** Of IPv6 whoever has one address has 2^64 of them. */
function networkOf(address: string): string {
  if (!isIPv6(address) || address.startsWith('::ffff:')) return address;
  const [head = ''] = address.split('::');
  return head.split(':').slice(0, 4).join(':');
}
