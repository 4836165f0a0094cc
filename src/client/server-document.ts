import * as findings from '../inventory/findings.js';
import * as obligations from '../inventory/obligations.js';
import * as places from '../inventory/places.js';
import * as checks from '../inventory/server-checks.js';
import * as servers from '../inventory/servers.js';
import type { Server } from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { hasTags } from '../inventory/tags.js';
import type { HealthDocument } from './documents/finding.js';
import type { ServerDocument } from './documents/server.js';
import type { Told } from './follow.js';
import type { Chom } from './open.js';
import { describeOwed, obligationDocument } from './operation.js';
import { findingDocument, findingsText, healthDocument, healthWords } from './server-health.js';
import { tagColumn } from './tag-column.js';
import { facts, table } from './text.js';

/** The tenant's servers; of these those that have all of these tags. */
export async function listServers(
  { tenant, inventory }: Chom,
  { tags = [] }: { tags?: readonly string[] | undefined } = {},
): Promise<{ document: { servers: (ServerDocument & { health: HealthDocument })[] }; text: string }> {
  const found = (await servers.list(inventory.db, { tenant })).filter((one) => hasTags(one, tags));
  const health = await checks.health(inventory.db, tenant);
  const column = tagColumn(found);
  const rows = found.map((one) => [
    one.name,
    one.status,
    `${one.address}:${one.port}`,
    system(one),
    one.versions.php.join(' '),
    healthWords(health.get(one.id)),
    ...column.of(one),
  ]);
  const heading = ['NAME', 'STATUS', 'ADDRESS', 'SYSTEM', 'PHP', 'HEALTH', ...column.heading];
  const text = found.length === 0 ? '' : table(heading, rows);
  const documents = found.map((one) => ({ ...serverDocument(one), health: healthDocument(health.get(one.id)) }));
  return { document: { servers: documents }, text };
}

/** What is known of a server. @throws NotFound */
export async function showServer(chom: Chom, name: string): Promise<Told> {
  return await tellServer(chom, await servers.byName(chom.inventory.db, chom.tenant, name));
}

/** A server with what is on it and at work there. */
export async function tellServer({ inventory, tenant }: Chom, server: Server): Promise<Told> {
  const { nginx, mariadb, php } = server.versions;
  const hosted = (await sites.list(inventory.db, { server: server.id })).map(({ domain }) => domain);
  const line = await places.list(inventory.db, { server: server.id });
  // Others may have the files of a storage there that is everybody's.
  const inState = (state: 'running' | 'waiting') =>
    line.filter((place) => place.state === state && place.tenant === tenant).map(({ root }) => root);
  const [atWork, inLine] = [inState('running'), inState('waiting')];
  const owed = await obligations.stillOpen(inventory.db, { server: server.id });
  const health = (await checks.health(inventory.db, server.tenant)).get(server.id);
  const wrong = await findings.open(inventory.db, { server: server.id });
  const known = facts([
    ['server', server.name],
    ['id', server.id],
    ['status', server.status],
    ['address', `${server.user}@${server.address}:${server.port}`],
    ['host key', server.hostKeyFingerprint],
    ['system', system(server)],
    ['nginx', nginx],
    ['php', php.join(', ')],
    ['mariadb', mariadb],
    ['smtp relay', server.smtpRelay ?? 'none'],
    ['protection', protectionOf(server)],
    ['tags', server.tags.join(', ')],
    ['sites', hosted.join(', ')],
    ['at work', atWork.join(', ')],
    ['in line', inLine.join(', ')],
    ['owed', describeOwed(owed)],
    ['health', healthWords(health)],
  ]);
  const text = [known, findingsText(wrong)].filter(Boolean).join('\n\n');
  const healthy = { health: healthDocument(health), findings: wrong.map(findingDocument) };
  const document = { ...serverDocument(server), sites: hosted, atWork, inLine, ...healthy };
  return { document: { server: { ...document, obligations: owed.map(obligationDocument) } }, text };
}

function serverDocument(server: Server): ServerDocument {
  const { id, name, status, address, port, user, os, osVersion, versions, smtpRelay, createdAt } = server;
  return {
    id,
    name,
    status,
    address,
    port,
    user,
    hostKey: server.hostKeyFingerprint,
    os,
    osVersion,
    versions,
    smtpRelay,
    protection: server.protection,
    tags: server.tags,
    createdAt,
  };
}

function protectionOf({ protection }: Server): string {
  const { firewall, updates, swap, logrotate } = protection ?? {};
  const parts = [
    firewall && 'firewall',
    updates && 'security updates',
    swap && 'swap where memory is short',
    logrotate && 'rotated logs',
  ];
  return protection === null ? '' : parts.filter(Boolean).join(', ') || 'none of CHOM';
}

function system({ os, osVersion }: Server): string {
  return [os, osVersion].filter(Boolean).join(' ');
}
