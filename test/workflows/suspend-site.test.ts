import { afterAll, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { aliasActivities } from '../../src/activities/aliases.js';
import { suspensionActivities } from '../../src/activities/suspension.js';
import { submit } from '../../src/client/submit.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as sites from '../../src/inventory/sites.js';
import { failure } from '../../src/workflows/failures.js';
import type { RepairPlan } from '../../src/workflows/plans.js';
import { activeServer } from '../inventory/records.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { liveSite } from './site-records.js';

let chom: WorkflowEnvironment;
let plan: RepairPlan;

beforeAll(async () => {
  chom = await startEnvironment(inject('workflowBundle'));
  await chom.inventory.transaction(async (trx) => void (await activeServer(trx, 'web1')));
});
afterAll(async () => await chom?.close());

beforeEach(async () => {
  plan = {
    ...(await liveSite(chom)),
    ...{ aliases: [], tls: false },
    ...{ type: 'laravel', php: '8.4', database: true },
  };
});

/** The host is played, what is on record is the product's. `broken`: a step that fails for good. */
function played(broken?: string) {
  const done: string[] = [];
  const act = (name: string) => async () => {
    if (name === broken) throw failure('Conflict', 'the host says no');
    done.push(name);
    return { version: 'v', secure: false };
  };
  const activities = {
    ...suspensionActivities(chom.deps),
    ...aliasActivities(chom.deps),
    closeForGood: act('close'),
    seeTurnedAway: act('see closed'),
    openAgain: act('open'),
    seeContent: act('see open'),
    startBackground: act('jobs'),
    reopenSite: act('reopen'),
    publishNames: act('publish'),
  };
  return { done, activities };
}

async function run(
  kind: 'suspend-site' | 'resume-site' | 'change-aliases',
  input: object,
  { activities }: Pick<ReturnType<typeof played>, 'activities'>,
) {
  const { tenant, server, serverName, site, domain } = plan;
  const where = { tenant, server, serverName, site, domain };
  const id = await chom.withWorker(activities, async () => {
    const asked = await submit(chom, { kind, input, summary: kind, ...where });
    await chom.temporal.workflow
      .getHandle(asked)
      .result()
      .catch(() => undefined);
    return asked;
  });
  await chom.replayed(id);
  const row = await operations.byId(chom.inventory.db, id);
  const emitted = (await events.list(chom.inventory.db, { operation: id })).map(({ type }) => type);
  return { outcome: row.outcome, type: row.failureType, emitted };
}
const site = async () => await sites.byId(chom.inventory.db, plan.site);

test('a site is suspended once visitors were seen to be turned away, and resumed once it was seen to answer', async () => {
  const host = played();
  const suspended = await run('suspend-site', { ...plan, reason: 'unpaid' }, host);
  expect(suspended).toEqual({ outcome: 'succeeded', type: null, emitted: ['SiteSuspended'] });
  expect(await site()).toMatchObject({ status: 'suspended', suspendedReason: 'unpaid' });
  expect(await run('suspend-site', { ...plan, reason: null }, host)).toMatchObject({ type: 'Conflict' });
  expect(await run('resume-site', plan, host)).toEqual({ outcome: 'succeeded', type: null, emitted: ['SiteResumed'] });
  expect(await site()).toMatchObject({ status: 'active', suspendedReason: null });
  expect(host.done).toEqual(['close', 'see closed', 'open', 'see open', 'jobs']);
});

test('one that is not seen to be closed is open again, and one that does not answer closed again', async () => {
  const open = played('see closed');
  const failed = await run('suspend-site', { ...plan, reason: null }, open);
  expect(failed).toMatchObject({ outcome: 'failed', emitted: ['SiteSuspensionFailed', 'Alert'] });
  expect(open.done).toEqual(['close', 'reopen']);
  expect(await site()).toMatchObject({ status: 'active' });

  await run('suspend-site', { ...plan, reason: null }, played());
  const closed = played('see open');
  expect(await run('resume-site', plan, closed)).toMatchObject({ outcome: 'failed' });
  expect(closed.done).toEqual(['open', 'close']);
  expect(await site()).toMatchObject({ status: 'suspended' });
});

test('aliases that come to nothing are free again, and the site is published as it was', async () => {
  const alias = `www.${plan.domain}`;
  const wanted = { ...plan, aliases: [alias], before: [] };
  const host = played('see open');
  const failed = await run('change-aliases', wanted, host);
  expect(failed).toMatchObject({ outcome: 'failed', emitted: ['SiteAliasesFailed', 'Alert'] });
  expect(host.done).toEqual(['publish', 'publish']);
  expect(await sites.holding(chom.inventory.db, alias)).toBeNull();
  expect(await site()).toMatchObject({ aliases: [] });

  const changed = await run('change-aliases', wanted, played());
  expect(changed).toEqual({ outcome: 'succeeded', type: null, emitted: ['SiteAliasesChanged'] });
  expect(await site()).toMatchObject({ aliases: [alias] });
  // Asked for before that, and only now at work.
  expect(await run('change-aliases', wanted, played())).toMatchObject({ type: 'Conflict' });
});
