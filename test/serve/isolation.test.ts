import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as places from '../../src/inventory/places.js';
import { ROUTES } from '../../src/serve/routes.js';
import { rowCounts } from '../client/command-line.js';
import { havingOf, startTenants, type Having, type Tenants } from './tenants.js';

let tenants: Tenants;
let token: string;
beforeAll(async () => {
  tenants = await startTenants();
  token = await tenants.token('first');
  // Else its first use would be noted beside one of the requests, and count as a query of that one.
  const later = { lastUsedAt: '2999-01-01T00:00:00.000Z' };
  await tenants.chom.inventory.transaction(
    async (trx) => void (await trx.updateTable('apiTokens').set(later).execute()),
  );
});
afterAll(async () => await tenants?.close());

const [own, others, never] = [havingOf('first'), havingOf('other'), havingOf('never')];

type Request = [id: string, method: string, path: string, body?: object];

/** Every route, with everything in it that can name what is another's. */
function reaching(one: Having): Request[] {
  const [ofSite, ofAlias] = [one.domain, one.alias].map((name) => `/v1/sites/${name}`);
  const backup = `/v1/backups/${one.backup}`;
  const ids = [one.operation, one.child, one.failed].map((id) => `/v1/operations/${encodeURIComponent(id)}`);
  return [
    ['listSites', 'GET', `/v1/sites?server=${one.server}`],
    ['createSite', 'POST', '/v1/sites', { domain: 'new.example', server: one.server }],
    ['showSite', 'GET', `${ofSite}`],
    ['showSite', 'GET', `${ofAlias}`],
    ['deleteSite', 'DELETE', `${ofSite}?confirm=${one.domain}`],
    ['deleteSite', 'DELETE', `${ofAlias}?confirm=${one.domain}&finalBackup=false`],
    ['suspendSite', 'POST', `${ofSite}/suspend`],
    ['resumeSite', 'POST', `${ofSite}/resume`],
    ['changeAliases', 'POST', `${ofSite}/aliases`, { add: ['more.example'] }],
    ['changeAliases', 'POST', `${ofAlias}/aliases`, { remove: [one.alias] }],
    ['tagSite', 'POST', `${ofSite}/tags`, { add: ['live'] }],
    ['tagSite', 'POST', `${ofAlias}/tags`, { remove: ['live'] }],
    ['listBackups', 'GET', `${ofSite}/backups?all=true`],
    ['createBackup', 'POST', `${ofSite}/backups`, {}],
    ['createBackup', 'POST', `/v1/sites/${own.domain}/backups`, { storage: one.storage }],
    ['deleteSite', 'DELETE', `/v1/sites/${own.domain}?confirm=${own.domain}&storage=${one.storage}`],
    ['showBackup', 'GET', backup],
    ['verifyBackup', 'POST', `${backup}/verify`],
    ['restoreBackup', 'POST', `${backup}/restore`, {}],
    ['restoreBackup', 'POST', `${backup}/restore`, { to: own.domain }],
    ['restoreBackup', 'POST', `/v1/backups/${own.backup}/restore`, { to: one.domain }],
    ['issueCertificate', 'POST', `${ofSite}/certificate`],
    ['renewCertificate', 'POST', `${ofSite}/certificate/renew`],
    ['listOperations', 'GET', `/v1/operations?site=${one.domain}`],
    ['listOperations', 'GET', `/v1/operations?site=${one.alias}&failed=true`],
    ...ids.flatMap((path): Request[] => [
      ['showOperation', 'GET', path],
      ['watchOperation', 'GET', `${path}/events`],
      ['cancelOperation', 'POST', `${path}/cancel`],
      ['retryOperation', 'POST', `${path}/retry`],
      ['takeLogin', 'POST', `${path}/login`],
    ]),
    ['showServer', 'GET', `/v1/servers/${one.server}`],
  ];
}

/** They name nothing: what they show is the tenant's. */
const LISTS: [id: string, path: string][] = [
  ['listSites', '/v1/sites'],
  ['listSites', '/v1/sites?tag=live'],
  ['listBackedUp', '/v1/backups'],
  ['listBackups', `/v1/sites/${own.domain}/backups?all=true`],
  ['listCertificates', '/v1/certificates?all=true'],
  ['listOperations', '/v1/operations?limit=1000'],
  ['listServers', '/v1/servers'],
  ['listServers', '/v1/servers?tag=live'],
  ['listStorages', '/v1/storages'],
];

test('[SE-05] every route is tried below', () => {
  const tried = [...reaching(others), ...LISTS].map(([id]) => id);
  expect(new Set(tried)).toEqual(new Set([...ROUTES.map(({ id }) => id), 'watchOperation']));
});

describe('[SE-05] what is another tenant’s', () => {
  test.each(reaching(others).map(([id, method, path], index) => [id, method, path, index] as const))(
    'is answered as what never was: %s, %s %s',
    async (_id, _method, _path, index) => {
      const before = await rowCounts(tenants.line);
      const answers: [status: number, text: string, headers: unknown, queries: number][] = [];
      for (const one of [others, never]) {
        const [, method, path, body] = reaching(one)[index] ?? ['', '', ''];
        tenants.queries = 0;
        const { status, text, headers } = await tenants.ask(token, method, path, body && { body });
        const told = [...headers].filter(([name]) => name !== 'date');
        answers.push([status, text.replaceAll('other', 'never'), told, tenants.queries]);
      }
      expect(answers[0]).toEqual(answers[1]);
      expect(answers[0]?.[0]).toBe(404);
      expect(await rowCounts(tenants.line)).toEqual(before);
      expect(tenants.line.contacts()).toBe(0);
    },
  );

  test.each(LISTS)('is in no list: %s %s', async (_id, path) => {
    const listed = await tenants.ask(token, 'GET', path);
    expect(listed.status).toBe(200);
    expect(listed.text).not.toContain('other');
    expect(listed.text).toContain('first');
    // It would have been seen: the other one sees it.
    const theirs = await tenants.ask(await tenants.token('other', 'read'), 'GET', path.replace('first', 'other'));
    expect(theirs.text).toContain('other');
    expect(theirs.text).not.toContain('first');
  });

  test('is found by no tag of theirs', async () => {
    for (const of of ['sites', 'servers']) {
      const listed = await tenants.ask(token, 'GET', `/v1/${of}?tag=of-other`);
      expect(listed).toMatchObject({ status: 200, json: { [of]: [] } });
    }
  });

  test('is not told by a name that is taken', async () => {
    for (const domain of [others.domain, others.alias]) {
      const taken = await tenants.ask(token, 'POST', '/v1/sites', { body: { domain, server: own.server } });
      expect(taken.status).toBe(409);
      expect(taken.json).toMatchObject({ detail: `${domain} is taken`, cause: null, next: null, operation: null });
    }
  });
  test('is not told by who is at work on a server that keeps the files of others, too', async () => {
    const { inventory } = tenants.line.stores;
    await inventory.transaction(async (trx) => {
      const place = { server: 'srv-web-first', priority: 'default', exclusive: true } as const;
      await places.enter(trx, { ...place, root: others.operation, tenant: 'other', site: others.site });
      await places.enter(trx, { ...place, root: own.operation, tenant: 'first', site: own.site });
    });
    const shown = await tenants.ask(token, 'GET', `/v1/servers/${own.server}`);
    expect(shown.json).toMatchObject({ server: { atWork: [], inLine: [own.operation] } });
    for (const path of ['/v1/operations', `/v1/operations/${own.operation}`]) {
      const { status, text } = await tenants.ask(token, 'GET', path);
      expect(status).toBe(200);
      expect(text).toContain('"position":1');
      expect(text).not.toContain('other');
    }
  });
});
