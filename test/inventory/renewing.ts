import { vi } from 'vitest';
import { renewDue, warnOfExpiry } from '../../src/client/renewals.js';
import type { Submitter } from '../../src/client/submit.js';
import { readConfig } from '../../src/config.js';
import * as certificates from '../../src/inventory/certificates.js';
import type { Conclusion } from '../../src/inventory/conclusion.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as renewals from '../../src/inventory/renewals.js';
import * as sites from '../../src/inventory/sites.js';
import type { CertificatePlan } from '../../src/workflows/plans.js';
import type { TestDatabase } from './databases.js';
import { activeServer, sitePlan } from './records.js';

export const MINUTE = 60_000;
export const DAY = 24 * 60 * MINUTE;
export const START = Date.parse('2026-01-01T00:00:00.000Z');

/** What an operation comes to: a certificate of so many days, or a failure. */
export type Result =
  | { days: number }
  | Pick<Conclusion, 'failureType' | 'details' | 'reason'>
  | 'cancelled'
  | 'nothing';

/** One operation that was asked for to renew a certificate; `day` counts from the start. */
interface Try {
  id: string;
  day: number;
  plan: CertificatePlan;
  result: Result;
}

/**
 * A worker's sweeps over an inventory whose clock is the test's, and operations that end as the test says. No sweep is left out at
 * which anything could happen.
 */
export async function renewing(database: TestDatabase, settings: Record<string, string> = {}) {
  const { inventory, keyring } = database;
  const tries: Try[] = [];
  let authority: (plan: CertificatePlan, day: number) => Result = () => ({ days: 90 });
  let clock = START;
  const set = (at: number) => vi.setSystemTime((clock = at));
  set(START);
  let made = 0;

  async function run(id: string, plan: CertificatePlan): Promise<void> {
    const { epoch } = await operations.begin(inventory, { operation: id, run: `run of ${id}` });
    const day = (clock - START) / DAY;
    const result = authority(plan, day);
    tries.push({ id, day, plan, result });
    await inventory.transaction(async (trx) => {
      if (typeof result === 'object' && 'days' in result) await issue(trx, plan.site, result.days, clock);
      const failed = typeof result === 'object' && !('days' in result);
      const outcome = failed ? 'failed' : result === 'cancelled' ? 'cancelled' : 'succeeded';
      const fence = { operation: id, run: `run of ${id}`, epoch };
      await operations.conclude(trx, fence, { outcome, ...(failed && result) });
    });
  }

  /** As the steps of an operation record it. */
  async function issue(trx: Parameters<typeof certificates.record>[0], site: string, days: number, from: number) {
    made += 1;
    const [notBefore, notAfter] = [new Date(from), new Date(from + days * DAY)].map((at) => at.toISOString());
    const { id } = await certificates.record(trx, {
      ...{ id: `c${made}`, site, names: ['example.org'], serial: `${made}`, fingerprint: `fingerprint ${made}` },
      ...{
        issuer: 'CN=Test',
        notBefore: notBefore ?? '',
        notAfter: notAfter ?? '',
        chain: 'PEM',
        authority: 'https://ca.test',
      },
    });
    await certificates.markInstalled(trx, id);
    await renewals.begin(trx, await certificates.byId(trx, id));
  }

  const workflow = {
    start: async (
      _: string,
      { args: [{ operation, input }] }: { args: [{ operation: string; input: CertificatePlan }] },
    ) => await run(operation, input),
  };
  const withDeadline = async (_: number, act: () => Promise<unknown>) => await act();
  const temporal = {
    address: 'test',
    namespace: 'default',
    workflow,
    withDeadline,
  } as unknown as Submitter['temporal'];
  const chom: Submitter = { inventory, keyring, config: readConfig(settings), temporal };

  return {
    chom,
    tries,
    /** What operations come to from now on. */
    answer: (next: typeof authority) => (authority = next),
    /** A live site with a certificate of so many days from the start. */
    async site(id: string, domain: string, days = 90): Promise<void> {
      await inventory.transaction(async (trx) => {
        if ((await trx.selectFrom('servers').select('id').execute()).length === 0) await activeServer(trx, 'web1');
        await sites.reserve(trx, sitePlan(id, domain), `provision ${id}`);
        await sites.activate(trx, id);
        await issue(trx, id, days, clock);
      });
    },
    /** Time goes by in which nobody sweeps. */
    sleep: (days: number) => set(clock + days * DAY),
    /** Sweeps until so many days after the start. */
    async until(day: number): Promise<void> {
      const end = START + day * DAY;
      for (;;) {
        const failures: { what: string; error: unknown }[] = [];
        await renewDue(chom, clock, failures);
        if (failures[0]) throw failures[0].error;
        await warnOfExpiry(chom, clock);
        if (clock >= end) return;
        const all = await renewals.list(inventory.db);
        const ahead = all.flatMap((owed) => [renewals.nextTry(owed), owed.due, owed.warnAt]);
        const next = ahead.map((at) => Date.parse(at ?? '')).filter((at) => at > clock);
        // A sweep is at a full minute.
        set(Math.min(end, ...next.map((at) => Math.ceil(at / MINUTE) * MINUTE)));
      }
    },
    owed: async (site: string) => (await renewals.list(inventory.db, { site }))[0],
    /** What was told without an operation: the stages, and on which day. */
    told: async () =>
      (await events.list(inventory.db))
        .filter(({ type }) => type === 'CertificateExpiring')
        .map(({ data, at }) => [data['stage'], Math.round((100 * (Date.parse(at) - START)) / DAY) / 100]),
  };
}
