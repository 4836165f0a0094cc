import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { apiPage } from '../../scripts/api-reference.js';
import { openApi } from '../../src/serve/openapi.js';
import { ROUTES } from '../../src/serve/routes.js';
import { havingOf, startTenants, type Tenants } from './tenants.js';

let tenants: Tenants;
beforeAll(async () => {
  tenants = await startTenants();
});
afterAll(async () => await tenants?.close());

const own = havingOf('first');

describe('the OpenAPI document', () => {
  test('is served to whoever asks, and names every route', async () => {
    const served = await tenants.ask(null, 'GET', '/openapi.json');
    expect(served.json).toEqual(openApi());
    const paths = served.json['paths'] as Record<string, Record<string, { operationId: string }>>;
    const ids = Object.values(paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
    expect(ids.toSorted()).toEqual([...ROUTES.map(({ id }) => id), 'upload', 'watchOperation'].toSorted());
  });

  test('is what docs/api.md says: node --import tsx scripts/api-reference.ts', async () => {
    const { wanted, found } = await apiPage();
    expect(found).toBe(wanted);
  });

  test.each(ROUTES.filter(({ method }) => method === 'GET').map((one) => [one.id, one] as const))(
    'describes the answer of %s',
    async (_, { path, answer }) => {
      const filled = path
        .replace('{domain}', own.domain)
        .replace('{backup}', own.backup)
        .replace('{operation}', own.failed)
        .replace('{server}', own.server);
      const { status, json } = await tenants.ask(await tenants.token('first', 'read'), 'GET', filled);
      expect(status).toBe(200);
      expect(answer.safeParse(json).error?.issues ?? []).toEqual([]);
    },
  );
});
