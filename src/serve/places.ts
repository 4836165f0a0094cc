import { listServers, showServer } from '../client/server-document.js';
import { storageDocument } from '../client/storage-document.js';
import * as storages from '../inventory/storages.js';
import * as documents from './documents.js';
import { name, tags } from './parameters.js';
import { route, type Route } from './route.js';

/** Where sites and backups are: the administrator makes these, and a tenant looks. */
export const placeRoutes: readonly Route[] = [
  route({
    ...{ method: 'GET', path: '/v1/servers', id: 'listServers', summary: 'Your servers', scope: 'read' },
    answer: documents.servers,
    query: { tag: tags.optional() },
    run: async ({ chom, query }) => (await listServers(chom, { tags: query.tag })).document,
  }),
  route({
    ...{ method: 'GET', path: '/v1/servers/{server}', id: 'showServer', scope: 'read' },
    summary: 'A server, and what is at work there',
    answer: documents.wholeServer,
    params: { server: name },
    run: async ({ chom, path }) => (await showServer(chom, path.server)).document,
  }),
  route({
    ...{ method: 'GET', path: '/v1/storages', id: 'listStorages', scope: 'read' },
    summary: 'Storages that your backups may go to',
    answer: documents.storages,
    async run({ chom }) {
      const found = await storages.list(chom.inventory.db, chom);
      const told = found.map(async (one) => {
        // Where one is that others use too, and how it is kept, is nothing for a tenant.
        const { name: called, kind, tenant, access, probedAt, sites } = await storageDocument(chom, one);
        const own = sites.map((site) => site.domain);
        return { name: called, kind, shared: tenant === null, access, probedAt, sites: own };
      });
      return { storages: await Promise.all(told) };
    },
  }),
];
