import { z } from 'zod';
import { changeAliases } from '../client/change-aliases.js';
import { parseDomain } from '../client/domain.js';
import { parseGitUrl } from '../client/git-url.js';
import { deleteSite, siteToDelete } from '../client/new-deletion.js';
import { createSite } from '../client/new-site.js';
import { parsePrivateKey } from '../client/private-key.js';
import { listSites, showSite } from '../client/site-document.js';
import { resumeSite, suspendSite } from '../client/suspend-site.js';
import { tagSite } from '../client/tag.js';
import { failure } from '../workflows/failures.js';
import { SITE_TYPES } from '../workflows/plans.js';
import * as documents from './documents.js';
import { given } from './given.js';
import { domain, flag, name, tag, tags, wait } from './parameters.js';
import { route, type Route } from './route.js';

const text = z.string().max(200);

/** What `site create` takes, but for what lies on the caller's own disk. */
const newSite = {
  domain,
  server: name,
  type: z.enum(SITE_TYPES).optional(),
  php: z.string().max(10).optional().describe('Unless said the newest that the server has'),
  aliases: z.array(domain).max(99).optional(),
  tls: z.boolean().optional(),
  from: z.string().max(2000).optional().describe('https or ssh URL of a git repository; #branch behind it'),
  upload: z
    .string()
    .regex(/^upload-[a-z2-7]{26}$/)
    .optional()
    .describe('Instead of from: the archive of that id, as POST /v1/uploads has answered'),
  deployKey: z
    .string()
    .max(16_384)
    .optional()
    .describe('Private SSH key that may read the repository; kept for this alone'),
  database: z.boolean().optional(),
  title: text.optional(),
  adminUser: text.optional(),
  adminEmail: text.optional(),
  wait,
};

export const siteRoutes: readonly Route[] = [
  route({
    ...{ method: 'GET', path: '/v1/sites', id: 'listSites', summary: 'Your sites', scope: 'read' },
    answer: documents.sites,
    query: { server: name.optional(), tag: tags.optional() },
    run: async ({ chom, query }) => (await listSites(chom, { server: query.server, tags: query.tag })).document,
  }),
  route({
    ...{ method: 'POST', path: '/v1/sites', id: 'createSite', scope: 'operate' },
    summary: 'Set a site up on a server of yours',
    answer: documents.asked,
    asksFor: 'provision-site',
    body: newSite,
    async run({ chom, body, operation }) {
      const { deployKey, from, ...wanted } = body;
      // A path would be one of the machine that this runs on.
      if (from !== undefined) parseGitUrl(from);
      const key = deployKey === undefined ? null : await parsePrivateKey(Buffer.from(deployKey), 'deployKey');
      const source = { ...(from !== undefined && { from }), ...(key && { deployKey: key }) };
      return await createSite(chom, { ...given(wanted), ...source, operation });
    },
  }),
  route({
    ...{ method: 'GET', path: '/v1/sites/{domain}', id: 'showSite', scope: 'read' },
    summary: 'A site, its certificate and its last operation',
    answer: documents.wholeSite,
    params: { domain },
    run: async ({ chom, path }) => (await showSite(chom, parseDomain(path.domain))).document,
  }),
  route({
    ...{ method: 'DELETE', path: '/v1/sites/{domain}', id: 'deleteSite', scope: 'admin' },
    summary: 'Delete a site and everything that is its own, after a last backup that is tried out',
    answer: documents.asked,
    asksFor: 'delete-site',
    params: { domain },
    query: {
      confirm: domain.describe('The domain of the site once more: this cannot be taken back'),
      finalBackup: flag.optional().describe('false: what is not in an earlier backup is lost'),
      storage: name.optional(),
    },
    async run({ chom, path, query, operation }) {
      const site = await siteToDelete(chom, path.domain);
      if (parseDomain(query.confirm) !== site.domain) {
        throw failure('InvalidInput', `confirm does not name ${site.domain}`, { next: `confirm=${site.domain}` });
      }
      const { finalBackup, storage } = query;
      return await deleteSite(chom, { ...given({ finalBackup, storage }), domain: site.domain, operation });
    },
  }),
  route({
    ...{ method: 'POST', path: '/v1/sites/{domain}/suspend', id: 'suspendSite', scope: 'operate' },
    summary: 'Show visitors a page that says it is suspended',
    answer: documents.asked,
    asksFor: 'suspend-site',
    params: { domain },
    body: { reason: z.string().max(500).optional(), wait },
    async run({ chom, path, body, operation }) {
      return { operation: await suspendSite(chom, { ...given(body), domain: path.domain, operation }) };
    },
  }),
  route({
    ...{ method: 'POST', path: '/v1/sites/{domain}/resume', id: 'resumeSite', scope: 'operate' },
    summary: 'Open a suspended site again',
    answer: documents.asked,
    asksFor: 'resume-site',
    params: { domain },
    body: { wait },
    async run({ chom, path, body, operation }) {
      return { operation: await resumeSite(chom, path.domain, { ...given(body), operation }) };
    },
  }),
  route({
    ...{ method: 'POST', path: '/v1/sites/{domain}/aliases', id: 'changeAliases', scope: 'operate' },
    summary: 'Give a site more names, or fewer',
    answer: documents.asked,
    asksFor: 'change-aliases',
    params: { domain },
    body: { add: z.array(domain).max(99).optional(), remove: z.array(domain).max(99).optional(), wait },
    async run({ chom, path, body, operation }) {
      if ((body.add ?? []).length + (body.remove ?? []).length === 0) {
        throw failure('InvalidInput', 'Neither add nor remove names an alias');
      }
      return { operation: await changeAliases(chom, { ...given(body), domain: path.domain, operation }) };
    },
  }),
  route({
    ...{ method: 'POST', path: '/v1/sites/{domain}/tags', id: 'tagSite', scope: 'operate' },
    summary: 'Give a site tags, by which it is listed, or take some away',
    answer: documents.taggedSite,
    params: { domain },
    body: { add: z.array(tag).max(50).optional(), remove: z.array(tag).max(50).optional() },
    run: async ({ chom, path, body }) => await tagSite(chom, path.domain, given(body)),
  }),
];
