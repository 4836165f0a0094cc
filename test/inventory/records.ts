import type { Trx } from '../../src/inventory/database.js';
import type { NewOperation } from '../../src/inventory/operations.js';
import * as servers from '../../src/inventory/servers.js';
import type { SitePlan } from '../../src/workflows/plans.js';

/** An active server with PHP 8.4. */
export async function activeServer(trx: Trx, id: string, tenant = 'default'): Promise<servers.Server> {
  await servers.add(trx, { id, tenant, name: id, address: '198.18.0.2', port: 22, user: 'root' });
  await servers.recordFacts(trx, id, { os: 'debian', osVersion: '13', versions: { php: ['8.4'], nginx: '1.26.3' } });
  await servers.setStatus(trx, id, 'active');
  return await servers.byId(trx, id);
}

export function provision(id: string, over: Partial<NewOperation> = {}): NewOperation {
  return {
    id,
    kind: 'provision-site',
    input: { domain: 'example.org' },
    tenant: 'default',
    server: 'web1',
    site: `s-${id}`,
    cluster: 'test',
    namespace: 'default',
    ...over,
  };
}

export function sitePlan(site: string, domain: string, over: Partial<SitePlan> = {}): SitePlan {
  return {
    site,
    tenant: 'default',
    server: 'web1',
    serverName: 'web1',
    domain,
    aliases: [],
    type: 'static',
    php: null,
    tls: false,
    source: { kind: 'placeholder' },
    ...over,
  };
}
