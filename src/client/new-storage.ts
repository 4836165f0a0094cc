import * as servers from '../inventory/servers.js';
import type { StorageLogin } from '../inventory/storage-login.js';
import * as storages from '../inventory/storages.js';
import type { Keeper, Storage } from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import { askWorker } from './inspect.js';
import { parseFingerprint, parseStorageName } from './names.js';
import type { Chom } from './open.js';
import type { PrivateKey } from './private-key.js';
import { parseRepository, type RepositoryLocation } from './repository-location.js';
import { byController, parseMaintenance, type Maintenance } from './storage-maintenance.js';
import { parseAccessKey, parseLogin, unmaintained } from './storage-words.js';
import { randomId } from './submit.js';

/** A storage as it is to be added. */
export interface NewStorage extends Maintenance {
  name: string;
  /** `sftp:USER@HOST:/path`, `sftp:HOST` (a user for each site), `rest:https://…`, `s3:https://…` or `/path`. */
  repository: string;
  /**
   * `USER:PASSWORD` of a REST server, for all sites; without it each site gets a login of its own. Of S3, which needs one:
   * `ACCESS_KEY_ID:SECRET_ACCESS_KEY`.
   */
  login?: string;
  /** Logs in over SFTP; without one CHOM makes a key. */
  key?: PrivateKey;
  /** `SHA256:…` of the host key; without it `confirmHostKey` is asked. */
  hostKey?: string;
  /** PEM of the CA of a REST or S3 server. */
  ca?: string;
  /** All tenants may use it. */
  allTenants?: boolean;
}

/** What is wrong with it, before anything is opened. @throws InvalidInput */
export function checkNewStorage(wanted: NewStorage) {
  const { repository, login, key, hostKey, ca, maintain } = wanted;
  const location = parseRepository(repository);
  const { kind } = location;
  const only = (given: unknown, option: string, of: string, is: boolean) => {
    if (given === undefined || is) return;
    throw failure('InvalidInput', `${option} is for ${of}, and this is ${kind}`, { next: `leave ${option} out` });
  };
  const https = kind === 'rest' || kind === 's3';
  only(login, '--login', 'a REST server or S3', https);
  only(ca, '--ca', 'a REST server or S3', https);
  const controller = byController(wanted);
  only(maintain, '--maintain SERVER:/path', 'servers that keep restic’s files as files', kind !== 's3' || controller);
  only(key, '--key', 'SFTP', kind === 'sftp');
  only(hostKey, '--host-key', 'SFTP', kind === 'sftp');
  if (ca !== undefined && !ca.includes('-----BEGIN CERTIFICATE-----')) {
    throw failure('InvalidInput', 'The file that --ca names holds no certificate in PEM form');
  }
  if (kind === 's3' && login === undefined) {
    throw failure('InvalidInput', 'Nothing says with which access key S3 is reached', {
      next: 'add --login FILE, which holds one line ACCESS_KEY_ID:SECRET_ACCESS_KEY, or --login - to give it on stdin',
    });
  }
  if (location.ssh?.user === null) {
    if (key !== undefined) {
      throw failure('InvalidInput', '--key is for an address with a user, and this one gets a user for each site', {
        next: 'leave --key out, or write the address sftp:USER@HOST:/path',
      });
    }
    if (maintain === undefined || controller) throw unmaintained('the SFTP server');
  }
  if (kind === 'rest' && (maintain === undefined || (controller && login === undefined)))
    throw unmaintained('the REST server');
  const perSite = kind === 'rest' ? login === undefined : location.ssh?.user === null;
  return {
    location,
    name: parseStorageName(wanted.name),
    hostKey: hostKey === undefined ? null : parseFingerprint(hostKey),
    perSite,
    keeper: parseMaintenance({ kind, url: location.url, perSite }, wanted),
    login: login === undefined ? null : kind === 's3' ? parseAccessKey(login) : parseLogin(login),
  };
}

/** What the inventory has against it. @throws NotFound, Conflict the server that keeps it; Conflict the name is taken */
export async function refuseStorage(chom: Chom, wanted: NewStorage): Promise<void> {
  const { location, name, keeper } = checkNewStorage(wanted);
  await takenUp(chom, { tenant: tenantOf(chom, wanted), name, url: location.url });
  if (keeper) await keeperNamed(chom, keeper);
}

/**
 * Adds a storage. Of SFTP the host key is pinned first, by the fingerprint that is given, or by `confirmHostKey`.
 * @throws InvalidInput; NotFound, Conflict the server that keeps it; Conflict the name is taken; HostKeyMismatch,
 * HostKeyUnconfirmed; Unreachable; NoWorker; TemporalUnavailable
 */
export async function addStorage(
  chom: Chom,
  wanted: NewStorage,
  confirmHostKey: (fingerprint: string) => Promise<boolean> = async () => false,
): Promise<Storage> {
  const { location, name, hostKey, perSite, keeper: asked, login } = checkNewStorage(wanted);
  const { inventory, keyring } = chom;
  const tenant = tenantOf(chom, wanted);
  const begun = await takenUp(chom, { tenant, name, url: location.url });
  if (begun) return await withKey(chom, begun);
  const keeper = asked && (await keeperNamed(chom, asked));
  // Of SFTP such a user is made on the keeper, whose host key was confirmed when it was enrolled.
  const server = perSite && keeper && 'server' in keeper ? await servers.byId(inventory.db, keeper.server) : null;
  const known = hostKey ?? server?.hostKeyFingerprint ?? null;
  const pinned = location.ssh && (await pin(chom, location, { name, hostKey: known, confirmHostKey }));
  const own: StorageLogin | null = wanted.key
    ? { kind: 'sftp', privateKey: wanted.key.secret.toString(), public: wanted.key.public }
    : login;
  const added = await inventory.transaction(async (trx) =>
    storages.add(trx, keyring, {
      ...{ id: `sto${randomId(9)}`, tenant, name, kind: location.kind, url: location.url },
      logins: perSite ? 'per-site' : 'shared',
      ...(pinned && { hostKey: pinned }),
      ...(wanted.ca !== undefined && { ca: wanted.ca }),
      ...(own && { login: own }),
      ...(keeper && { maintain: keeper }),
    }),
  );
  return await withKey(chom, added);
}

function tenantOf({ tenant }: Chom, { allTenants = false }: NewStorage): string | null {
  return allTenants ? null : tenant;
}

/** Only a worker makes keys. Who dies in between adds the storage once more. */
async function withKey(chom: Chom, storage: Storage): Promise<Storage> {
  const { id, name } = storage;
  if (lacksKey(storage)) {
    await askWorker<string>(chom, { type: 'makeStorageLogin', args: [id], summary: `Make a key for storage ${name}` });
  }
  return await storages.byId(chom.inventory.db, id);
}

/** The one of that name that was never finished; null when there is none. @throws Conflict there is one that was */
async function takenUp(
  { inventory, tenant: own }: Chom,
  { tenant, name, url }: { tenant: string | null; name: string; url: string },
): Promise<Storage | null> {
  const all = await storages.list(inventory.db, { tenant: own });
  const held = all.find((one) => one.name === name && one.tenant === tenant);
  if (!held) return null;
  if (lacksKey(held) && held.url === url) return held;
  throw failure('Conflict', `There is a storage ${name} already: ${held.url}`, { next: `chom storage show ${name}` });
}

function lacksKey({ kind, logins, loginPublic }: Storage): boolean {
  return kind === 'sftp' && logins === 'shared' && loginPublic === null;
}

/** From where a storage is maintained, with the server's id for its name. @throws NotFound; Conflict it is not ready */
export async function keeperNamed({ inventory, tenant }: Chom, keeper: Keeper): Promise<Keeper> {
  if (!('server' in keeper)) return keeper;
  const { server: name, path } = keeper;
  const server = await servers.byName(inventory.db, tenant, name);
  if (server.status === 'active') return { server: server.id, path };
  throw failure('Conflict', `Server ${name} cannot keep backups: it is ${server.status}`, {
    next: `chom server show ${name}`,
  });
}

async function pin(
  chom: Chom,
  { ssh }: RepositoryLocation,
  asked: { name: string; hostKey: string | null; confirmHostKey: (fingerprint: string) => Promise<boolean> },
): Promise<{ hostKey: string; fingerprint: string }> {
  const { address = '', port = 22 } = ssh ?? {};
  const { name, hostKey: expected, confirmHostKey } = asked;
  const offered = await askWorker<{ hostKey: string; fingerprint: string }>(chom, {
    type: 'learnStorageKey',
    args: [{ address, port }],
    summary: `Ask ${address} for its host key`,
  });
  const { fingerprint } = offered;
  if (expected !== null && fingerprint !== expected) {
    throw failure('HostKeyMismatch', `${address} shows host key ${fingerprint}, expected was ${expected}`, {
      cause: 'Another machine answers at that address, or the fingerprint is of a key of another type',
      next: 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub (on the storage, at its console)',
    });
  }
  if (expected === null && !(await confirmHostKey(fingerprint))) {
    throw failure('HostKeyUnconfirmed', `The host key of ${address} was not confirmed: ${fingerprint}`, {
      next: `chom storage add ${name} … --host-key SHA256:…`,
    });
  }
  return offered;
}
