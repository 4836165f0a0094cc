import * as repositories from '../inventory/repositories.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import type { Storage } from '../inventory/storages.js';
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
    ['kept by', maintain === null ? null : `${maintain.server}:${maintain.path}`],
    ['sites', of.map(({ domain }) => domain).join(', ')],
  ]);
  return { document: { storage: document }, text };
}

export async function storageDocument({ inventory: { db }, tenant }: Chom, storage: Storage) {
  const { id, name, kind, url, logins, loginPublic, access, probedAt, maintainServer, maintainPath, createdAt } =
    storage;
  const held = await repositories.list(db, { storage: id });
  const own = await sites.list(db, { tenant });
  // Of a storage that is everybody's, each tenant sees its own sites.
  const theirs = held.flatMap((repository) => {
    const site = own.find((one) => one.id === repository.site);
    return site ? [{ id: site.id, domain: site.domain, initialisedAt: repository.initialisedAt }] : [];
  });
  const keeper = maintainServer === null ? null : (await servers.byId(db, maintainServer)).name;
  return {
    ...{ id, name, kind, url, logins, loginPublic, access, probedAt, createdAt },
    tenant: storage.tenant,
    hostKey: storage.hostKeyFingerprint,
    maintain: keeper === null || maintainPath === null ? null : { server: keeper, path: maintainPath },
    sites: theirs,
  };
}

export function loginsOf({ logins }: Storage): string {
  return logins === 'shared' ? 'shared login' : 'one per site';
}

export function accessOf({ access }: Storage): string {
  return access ?? 'not tried yet';
}
