import type { Db } from '../inventory/database.js';
import * as repositories from '../inventory/repositories.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import type { Storage } from '../inventory/storages.js';
import type { StorageDocument } from './documents/storage.js';
import type { Finding } from './findings.js';
import type { Chom } from './open.js';
import { facts } from './text.js';

/** What the operation has shown by succeeding. */
export function triedFindings({ access }: Storage): Finding[] {
  const who = 'whoever breaks into a host';
  const deletable = `Backups can be deleted by ${who}: deletable`;
  return [
    { name: 'reached', state: 'ok', message: 'It answers, and lets CHOM in' },
    { name: 'written', state: 'ok', message: 'What was written was read back' },
    {
      name: 'access',
      state: 'ok',
      message: access === 'append-only' ? `Backups cannot be deleted by ${who}: append-only` : deletable,
    },
  ];
}

/** A storage as people and programs read it. */
export async function tellStorage(chom: Chom, storage: Storage): Promise<{ document: object; text: string }> {
  const document = await storageDocument(chom, storage);
  const { maintain, sites: of } = document;
  const text = facts([
    ['storage', storage.name],
    ['place', storage.url],
    ['for', storage.tenant === null ? 'all tenants' : storage.tenant],
    ['login', loginsOf(storage)],
    ['key or user', storage.loginPublic],
    ['host key', storage.hostKeyFingerprint],
    ['backups are', accessOf(storage)],
    ['checked', storage.probedAt],
    ['maintained', maintain === null ? null : maintainedAt(maintain)],
    ['data read', dataReadOf(of)],
    ['sites', of.map(({ domain }) => domain).join(', ')],
  ]);
  return { document: { storage: document }, text };
}

export async function storageDocument({ inventory: { db }, tenant }: Chom, storage: Storage): Promise<StorageDocument> {
  const { id, name, kind, url, logins, loginPublic, access, probedAt, createdAt } = storage;
  const held = await repositories.list(db, { storage: id });
  const own = await sites.list(db, { tenant });
  // Of a storage that is everybody's, each tenant sees its own sites.
  const theirs = held.flatMap((repository) => {
    const site = own.find((one) => one.id === repository.site);
    return site ? [siteDocument(site, repository)] : [];
  });
  return {
    ...{ id, name, kind, url, logins, loginPublic, access, probedAt, createdAt },
    tenant: storage.tenant,
    hostKey: storage.hostKeyFingerprint,
    maintain: await maintenanceOf(db, storage),
    sites: theirs,
  };
}

function siteDocument({ id, domain }: sites.Site, repository: repositories.Repository) {
  const { initialisedAt, dataPart: part, dataParts: parts, dataReadAt: at } = repository;
  return {
    id,
    domain,
    initialisedAt,
    dataRead: part === null || parts === null || at === null ? null : { part, parts, at },
  };
}

/** How far the round has come in which checks read all of the data. */
function dataReadOf(of: readonly ReturnType<typeof siteDocument>[]): string {
  const lines = of.flatMap(({ domain, dataRead: read }) =>
    read ? [`${domain}: part ${read.part} of ${read.parts}, ${read.at}`] : [],
  );
  return lines.join('; ');
}

async function maintenanceOf(db: Db, storage: Storage) {
  const { maintainServer, maintainPath, maintainUrl, maintainLoginPublic } = storage;
  if (maintainUrl !== null) return { controller: true as const, repository: maintainUrl, login: maintainLoginPublic };
  if (maintainServer === null || maintainPath === null) return null;
  return { server: (await servers.byId(db, maintainServer)).name, path: maintainPath };
}

function maintainedAt(maintain: NonNullable<Awaited<ReturnType<typeof maintenanceOf>>>): string {
  if (!('controller' in maintain)) return `on ${maintain.server}, in ${maintain.path}`;
  return `from CHOM’s own machine, at ${maintain.repository}`;
}

export function loginsOf({ logins }: Storage): string {
  return logins === 'shared' ? 'shared login' : 'one per site';
}

export function accessOf({ access }: Storage): string {
  return access ?? 'not tried yet';
}
