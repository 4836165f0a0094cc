import * as servers from '../inventory/servers.js';
import type { StorageLogin } from '../inventory/storage-login.js';
import * as storages from '../inventory/storages.js';
import type { Storage } from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import { askWorker } from './inspect.js';
import { parseFingerprint, parseServerName, parseStorageName } from './names.js';
import type { Chom } from './open.js';
import type { PrivateKey } from './private-key.js';
import { parseRepository, type RepositoryLocation } from './repository-location.js';
import { randomId } from './submit.js';

/** A storage as it is to be added. */
export interface NewStorage {
  name: string;
  /** `sftp:USER@HOST:/path`, `rest:https://…`, `s3:https://…` or `/path`. */
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
  /** `SERVER:/path`: the enrolled server that keeps the files, and where. */
  maintain?: string;
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
  only(maintain, '--maintain', 'servers that keep restic’s files as files', kind !== 's3');
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
  if (kind === 'rest' && maintain === undefined) {
    throw failure('InvalidInput', 'Nothing says which server keeps the files of the REST server', {
      cause:
        'a REST server takes nothing but restic’s own files: logins, and the sealed passwords, are made where it runs',
      next: 'add --maintain SERVER:/path, an enrolled server and the data directory of the REST server',
    });
  }
  return {
    location,
    name: parseStorageName(wanted.name),
    hostKey: hostKey === undefined ? null : parseFingerprint(hostKey),
    maintain: maintain === undefined ? null : parseMaintain(maintain),
    login: login === undefined ? null : kind === 's3' ? parseAccessKey(login) : parseLogin(login),
  };
}

/** What the inventory has against it. @throws NotFound, Conflict the server that keeps it; Conflict the name is taken */
export async function refuseStorage(chom: Chom, wanted: NewStorage): Promise<void> {
  const { location, name, maintain } = checkNewStorage(wanted);
  await takenUp(chom, { tenant: tenantOf(chom, wanted), name, url: location.url });
  if (maintain) await keeperOf(chom, maintain.server);
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
  const { location, name, hostKey, maintain, login } = checkNewStorage(wanted);
  const { inventory, keyring } = chom;
  const tenant = tenantOf(chom, wanted);
  const begun = await takenUp(chom, { tenant, name, url: location.url });
  if (begun) return await withKey(chom, begun);
  const keeper = maintain && (await keeperOf(chom, maintain.server));
  const pinned = location.ssh && (await pin(chom, location, { name, hostKey, confirmHostKey }));
  const own: StorageLogin | null = wanted.key
    ? { kind: 'sftp', privateKey: wanted.key.secret.toString(), public: wanted.key.public }
    : login;
  const added = await inventory.transaction(async (trx) =>
    storages.add(trx, keyring, {
      ...{ id: `sto${randomId(9)}`, tenant, name, kind: location.kind, url: location.url },
      logins: location.kind === 'rest' && login === null ? 'per-site' : 'shared',
      ...(pinned && { hostKey: pinned }),
      ...(wanted.ca !== undefined && { ca: wanted.ca }),
      ...(own && { login: own }),
      ...(keeper && maintain && { maintain: { server: keeper, path: maintain.path } }),
    }),
  );
  return await withKey(chom, added);
}

function tenantOf({ tenant }: Chom, { allTenants = false }: NewStorage): string | null {
  return allTenants ? null : tenant;
}

/** Only a worker makes keys. Who dies in between adds the storage once more. */
async function withKey(chom: Chom, { id, name, kind, loginPublic }: Storage): Promise<Storage> {
  if (kind === 'sftp' && loginPublic === null) {
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
  if (held.kind === 'sftp' && held.loginPublic === null && held.url === url) return held;
  throw failure('Conflict', `There is a storage ${name} already: ${held.url}`, { next: `chom storage show ${name}` });
}

async function keeperOf({ inventory, tenant }: Chom, name: string): Promise<string> {
  const { id, status } = await servers.byName(inventory.db, tenant, name);
  if (status === 'active') return id;
  throw failure('Conflict', `Server ${name} cannot keep backups: it is ${status}`, {
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

function parseMaintain(text: string): { server: string; path: string } {
  const [, server, path] = /^([^:]+):(\/.*)$/.exec(text) ?? [];
  if (server === undefined || path === undefined) {
    throw failure('InvalidInput', `--maintain ${text} does not name a server and a directory`, {
      next: 'write it SERVER:/path',
    });
  }
  const { kind, url } = parseRepository(path);
  if (kind !== 'local') throw failure('Bug', `${path} is no path`);
  return { server: parseServerName(server), path: url };
}

/** Nothing of it is in the failure. */
function parseLogin(text: string): StorageLogin {
  const [, user, password] = /^([A-Za-z0-9@._-]+):(\S+)\s*$/.exec(text) ?? [];
  if (user !== undefined && password !== undefined) return { kind: 'rest', user, password };
  throw failure('InvalidInput', 'The login file does not hold one line USER:PASSWORD');
}

/** Nothing of it is in the failure. The secret stands in a file whose readers give quotes and comments a meaning. */
function parseAccessKey(text: string): StorageLogin {
  const [, accessKeyId, secretAccessKey] = /^([A-Za-z0-9+=,.@_-]+):([^\s"'`#;\\]+)\s*$/.exec(text) ?? [];
  if (accessKeyId !== undefined && secretAccessKey !== undefined) return { kind: 's3', accessKeyId, secretAccessKey };
  throw failure('InvalidInput', 'The login file does not hold one line ACCESS_KEY_ID:SECRET_ACCESS_KEY', {
    cause: 'or the secret holds a quote, backslash, # or ;',
  });
}
