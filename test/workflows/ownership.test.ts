import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { certificateActivities } from '../../src/activities/certificate.js';
import { probeActivities } from '../../src/activities/probe.js';
import { repairActivities } from '../../src/activities/repair.js';
import { serverActivities } from '../../src/activities/server.js';
import { siteActivities } from '../../src/activities/site.js';
import { newOperationId, startOperation } from '../../src/client/submit.js';
import type { Trx } from '../../src/inventory/database.js';
import * as operations from '../../src/inventory/operations.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import * as tenants from '../../src/inventory/tenants.js';
import type { OperationKind } from '../../src/workflows/step.js';
import { activeServer, sitePlan } from '../inventory/records.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';

const OWN = { site: 'sownaaaaaa', domain: 'own.example' };
const THEIRS = { site: 'stheirsaaa', domain: 'theirs.example' };
let chom: WorkflowEnvironment;
const touched: unknown[] = [];
beforeAll(async () => {
  chom = await startEnvironment(inject('workflowBundle'));
  const touch = async (server: unknown) => {
    touched.push(server);
    throw new Error('a host was touched');
  };
  chom.deps.hosts = { for: touch, withKey: touch, offeredHostKey: touch, leave: touch, close: async () => {} };
  await chom.inventory.transaction(async (trx) => {
    await tenants.add(trx, { id: 'theirs', name: 'theirs' });
    await activeServer(trx, 'web1');
    await activeServer(trx, 'web2', 'theirs');
    await liveSite(trx, OWN, { server: 'web1', serverName: 'web1' });
    await liveSite(trx, THEIRS, { server: 'web2', serverName: 'web2', tenant: 'theirs' });
  });
});
afterAll(async () => await chom.close());

async function liveSite(trx: Trx, { site, domain }: typeof OWN, where: object): Promise<void> {
  await sites.reserve(trx, sitePlan(site, domain, where), `provision-${site}`);
  await sites.activate(trx, site);
}

interface Asked {
  server: string;
  site: string | null;
}

/** The default tenant's row, and a workflow that somebody with Temporal's keys starts for it with a plan of theirs. */
async function forged(kind: OperationKind, asked: Asked, plan: object) {
  const id = newOperationId(kind);
  const address = { cluster: 'test', namespace: 'default' };
  await chom.inventory.transaction(async (trx) => {
    await operations.ask(trx, chom.keyring, { id, kind, input: plan, tenant: 'default', ...asked, ...address });
  });
  const request = { id, kind, input: plan, summary: 'forged', tenant: 'default', serverName: 'web1' };
  await startOperation(chom, { ...request, server: asked.server });
  const all = {
    ...siteActivities(chom.deps),
    ...serverActivities(chom.deps),
    ...probeActivities(chom.deps),
    ...repairActivities(chom.deps),
    ...certificateActivities(chom.deps),
  };
  const handle = chom.temporal.workflow.getHandle(id);
  await chom.withWorker(all, async () => await handle.result().catch(() => undefined));
  return await operations.byId(chom.inventory.db, id);
}

const provision = (over: Parameters<typeof sitePlan>[2]) => sitePlan('sforgedaaa', 'forged.example', over);
const certificate = { site: OWN.site, tenant: 'default', server: 'web1', serverName: 'web1', names: [OWN.domain] };
const enrolment = { server: 'web1', tenant: 'default', name: 'web1', address: '192.0.2.1', port: 22, user: 'root' };
const web1 = { server: 'web1', site: null };

test.each<[string, OperationKind, Asked, object]>([
  ["a site on another's server", 'provision-site', { ...web1, site: 'sforgedaaa' }, provision({ server: 'web2' })],
  ['a site for another tenant', 'provision-site', { ...web1, site: 'sforgedaaa' }, provision({ tenant: 'theirs' })],
  [
    'both',
    'provision-site',
    { ...web1, site: 'sforgedaaa' },
    provision({ tenant: 'theirs', server: 'web2', serverName: 'web2' }),
  ],
  [
    "a row that names another's server",
    'provision-site',
    { server: 'web2', site: 'sforgedaaa' },
    provision({ server: 'web2', serverName: 'web2' }),
  ],
  [
    "another's site",
    'issue-certificate',
    { ...web1, site: OWN.site },
    { ...certificate, site: THEIRS.site, server: 'web2', serverName: 'web2', names: [THEIRS.domain] },
  ],
  [
    "the repair of another's site",
    'repair-site',
    { ...web1, site: OWN.site },
    {
      ...{ ...OWN, tenant: 'default', server: 'web1', serverName: 'web1', site: THEIRS.site },
      ...{ aliases: [], type: 'static', php: null, tls: false, database: false },
    },
  ],
  [
    "a row that names another's site",
    'issue-certificate',
    { ...web1, site: THEIRS.site },
    { ...certificate, site: THEIRS.site },
  ],
  ["another's name", 'issue-certificate', { ...web1, site: OWN.site }, { ...certificate, names: [THEIRS.domain] }],
  [
    'the end of another’s server',
    'remove-server',
    web1,
    { server: 'web2', tenant: 'default', name: 'web2', gone: true },
  ],
  ["another's server", 'enrol-server', web1, { ...enrolment, server: 'web2', name: 'web2', hostKey: null }],
])('[SE-05] a forged order for %s is refused by the worker', async (_, kind, asked, plan) => {
  const row = await forged(kind, asked, plan);
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'Forbidden' });
  // Its own may be asked whether anything is left of a challenge.
  expect(touched.filter((server) => server !== 'web1')).toEqual([]);
  const { db } = chom.inventory;
  expect(await servers.byId(db, 'web2')).toMatchObject({ status: 'active', tenant: 'theirs', nextUid: 20_001 });
  expect((await sites.list(db)).map(({ domain, status }) => [domain, status])).toEqual([
    [OWN.domain, 'active'],
    [THEIRS.domain, 'active'],
  ]);
});

test('[SE-05] an order that is sealed for another operation is refused too', async () => {
  const plan = provision({});
  const id = newOperationId('provision-site');
  const where = { ...web1, site: 'sforgedaaa', cluster: 'test', namespace: 'default', tenant: 'default' };
  await chom.inventory.transaction(async (trx) => {
    await operations.ask(trx, chom.keyring, { id, kind: 'provision-site', input: plan, ...where });
  });
  const handle = await chom.temporal.workflow.start('provisionSite', {
    ...{ workflowId: id, taskQueue: chom.config.taskQueue, args: [{ operation: 'provision-site-other', input: plan }] },
  });
  await chom.withWorker({}, async () => await handle.result().catch(() => undefined));
  expect(await operations.byId(chom.inventory.db, id)).toMatchObject({ failureType: 'Forbidden' });
});
