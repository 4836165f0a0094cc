import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { escrowInRepository, escrowOnDisk, escrowOverSftp } from '../host/escrow.js';
import { repositoryUrl, resticCredentials } from '../host/restic.js';
import { expectRestic, resticFailure } from '../host/restic-output.js';
import { initRepository, parseRepositoryId } from '../host/restic-repository.js';
import { paths } from '../host/paths.js';
import { sh } from '../host/shell.js';
import { addSftpUser, sftpUserName } from '../host/sftp-user.js';
import { makeSshKey } from '../host/ssh-key.js';
import { addRestUser } from '../host/storage-host.js';
import { openKeyring } from '../inventory/keyring-file.js';
import { ESCROW_PASSWORD, escrowUrl, sealToRecovery } from '../inventory/recovery.js';
import * as repositories from '../inventory/repositories.js';
import type { StorageLogin } from '../inventory/storage-login.js';
import type { Storage } from '../inventory/storages.js';
import * as storages from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { change } from './host-step.js';
import { openRepository, type OpenRepository } from './repository-access.js';
import { fence, workplace, type Workplace } from './workplace.js';

/** Whose repository is wanted, and where. All are ids. */
export interface RepositoryPlan {
  tenant: string;
  /** From where it is used: the site's server. */
  server: string;
  site: string;
  storage: string;
}

/** A REST server looks for new users at most every 30 s. */
const LET_IN_MILLISECONDS = 75_000;
const SECRET_BYTES = 32;

export function repositoryActivities(deps: Deps) {
  return {
    /**
     * Lets a site have its repository in a storage; there is one already after the first time. Returns its id.
     * @throws NotFound the storage is not one that the tenant may use; Conflict there is no recovery key
     * @throws UnsupportedHost the server has no restic that will do; and what restic ends with
     */
    async prepareRepository(step: StepContext, plan: RepositoryPlan): Promise<{ repository: string }> {
      const { tenant, server, site, storage } = plan;
      await storages.byId(deps.inventory.db, storage, { tenant });
      return { repository: await prepareRepository(deps, step, { server, site, storage, scope: `site/${site}` }) };
    },
  };
}

/**
 * Makes a repository once, in this order: what opens it is kept here; who uses it is let in; its password lies beside
 * it, sealed to the recovery key, and was read back; only then restic makes it. `site: null`: the one for trying the storage.
 */
export async function prepareRepository(
  deps: Deps,
  step: StepContext,
  { server, site, storage: id, scope }: { server: string; site: string | null; storage: string; scope: string },
): Promise<string> {
  const { inventory } = deps;
  const storage = await storages.byId(inventory.db, id);
  const repository = await keep(deps, step, storage, site);
  if (repository.initialisedAt !== null) return repository.id;
  const open = await openRepository(deps, repository.id);
  const place = await workplace(deps, step, server, scope);
  await refuseWithoutRestic(place);
  const keeper = storage.maintainServer === null ? null : await workplace(deps, step, storage.maintainServer, scope);
  if (repository.loginPublic !== null) await letIn(keeper, open, nameOf(site));
  if (repository.escrowedAt === null) await escrow(deps, { place, keeper, open, site });
  await inventory.fenced(fence(step), async (trx) => await repositories.markEscrowed(trx, repository.id));
  const resticId = await initialise(place, open);
  await inventory.fenced(fence(step), async (trx) => await repositories.markInitialised(trx, repository.id, resticId));
  return repository.id;
}

/** Read back, so that an attempt before this one that made another password is the one that counts. */
async function keep({ inventory, keyring }: Deps, step: StepContext, storage: Storage, site: string | null) {
  const name = nameOf(site);
  const login = storage.logins === 'per-site' ? ownLogin(storage, name) : undefined;
  return await inventory.fenced(fence(step), async (trx) =>
    repositories.add(trx, keyring, {
      ...{ storage: storage.id, site, url: ownUrl(storage, name), password: Buffer.from(secret()) },
      ...(login && { login }),
    }),
  );
}

export function ownLogin({ id, kind }: Storage, name: string): StorageLogin {
  if (kind === 'rest') return { kind, user: name, password: secret() };
  if (kind !== 'sftp') throw failure('Bug', `No logins are made for ${kind}`);
  const key = makeSshKey(sftpUserName({ storage: id, name }));
  return { kind, privateKey: key.private.toString(), public: key.public };
}

/** Whoever has a user of his own over SFTP sees the storage's directory as the root. */
function ownUrl({ id, kind, logins, url }: Storage, name: string): string {
  const there = repositoryUrl(url, name);
  if (kind !== 'sftp' || logins === 'shared') return there;
  return there.replace('sftp://', `sftp://${sftpUserName({ storage: id, name })}@`);
}

async function refuseWithoutRestic(place: Workplace): Promise<void> {
  if ((await place.read(sh`[ -x ${paths.restic} ]`)).exit === 0) return;
  throw failure('UnsupportedHost', `${place.name} has no restic that CHOM could use`, {
    server: place.name,
    cause: 'It was enrolled before CHOM made backups',
    next: `chom server add ${place.name}`,
  });
}

/** Lets it in by the login of `open`, or by what is said of its keys. @throws by exit code */
export async function letIn(
  keeper: Workplace | null,
  open: OpenRepository,
  name: string,
  keys: { key: string; besides?: string } | null = open.repository.loginPublic === null
    ? null
    : { key: open.repository.loginPublic },
): Promise<void> {
  const { storage, access } = open;
  const { id, maintainPath: path } = storage;
  const { login } = access;
  const doing = `Letting ${name} into storage ${storage.name}`;
  if (keeper !== null && path !== null && login?.kind === 'rest') {
    const adding = addRestUser({ path, user: name, salt: salt() });
    await change(keeper, `rest-user-${name}`, doing, { ...adding, secrets: { login: Buffer.from(login.password) } });
  } else if (keeper !== null && path !== null && login?.kind === 'sftp' && keys !== null) {
    const adding = addSftpUser({ storage: id, path, name, ...keys });
    await change(keeper, `sftp-user-${name}`, doing, adding);
  } else throw failure('Bug', `Storage ${storage.name} has logins per site, and no server where they could be made`);
}

/** Lays the password of `open` down beside its repository, sealed to the recovery key. */
export async function escrowPassword(
  deps: Deps,
  step: StepContext,
  open: OpenRepository,
  { server, site }: { server: string; site: string },
): Promise<void> {
  const { maintainServer } = open.storage;
  const scope = `site/${site}`;
  const place = await workplace(deps, step, server, scope);
  const keeper = maintainServer === null ? null : await workplace(deps, step, maintainServer, scope);
  await escrow(deps, { place, keeper, open, site });
}

async function escrow(
  deps: Deps,
  {
    place,
    keeper,
    open,
    site,
  }: { place: Workplace; keeper: Workplace | null; open: OpenRepository; site: string | null },
): Promise<void> {
  const { storage, access } = open;
  // Read afresh: the key may have been made since this worker started.
  const { recovery } = await openKeyring(deps.config.home);
  if (recovery === undefined) {
    throw failure('Conflict', 'There is no recovery key to seal the password of a repository to', {
      cause: 'whoever loses the password loses the backups',
      next: 'chom storage recovery-kit',
    });
  }
  const what = { repository: access.url, site, password: access.password.toString() };
  const kept = { name: nameOf(site), sealed: sealToRecovery(recovery, Buffer.from(JSON.stringify(what))) };
  const doing = `Laying the sealed password into storage ${storage.name}`;
  if (keeper !== null && storage.maintainPath !== null) {
    await change(keeper, `escrow-${kept.name}`, doing, escrowOnDisk(storage.maintainPath, kept));
  } else if (storage.kind === 'local') {
    await change(place, `escrow-${kept.name}`, doing, escrowOnDisk(storage.url, kept));
  } else if (storage.kind === 'sftp') {
    const job = { ...escrowOverSftp(storage.url, kept), secrets: resticCredentials(access), limitSeconds: 120 };
    expectRestic(await place.job(`escrow-${kept.name}`, job), place, { what: doing, storage: storage.name });
  } else if (storage.kind === 's3' || storage.kind === 'rest') {
    const laying = escrowInRepository(escrowUrl(storage, kept.name), access, kept, Buffer.from(ESCROW_PASSWORD));
    const output = await place.job(`escrow-${kept.name}`, { ...laying, limitSeconds: 300 });
    expectRestic(output, place, { what: doing, storage: storage.name });
  }
}

/** Where a user was let in just now, the storage may not know him yet: then it is asked again. */
async function initialise(place: Workplace, { repository, storage, access }: OpenRepository): Promise<string> {
  const what = `Making the repository of ${nameOf(repository.site)} in storage ${storage.name}`;
  const output = await settling(repository.loginPublic !== null, async (n) => {
    const job = { ...initRepository(access), secrets: resticCredentials(access), limitSeconds: 240 };
    const tried = await place.job(`init-repository-${n}`, job);
    return { again: tried.exit !== 0 && resticFailure(tried) === 'StorageRefused', result: tried };
  });
  const id = parseRepositoryId(expectRestic(output, place, { what, storage: storage.name }).stdout);
  if (id !== null) return id;
  throw failure('CommandFailed', `${what} failed on ${place.name}: restic named no id`, { server: place.name });
}

/** Tries again for as long as a storage may not know a login yet that it was told of. `n` counts from 1. */
export async function settling<Result>(
  told: boolean,
  attempt: (n: number) => Promise<{ again: boolean; result: Result }>,
): Promise<Result> {
  const deadline = Date.now() + (told ? LET_IN_MILLISECONDS : 0);
  for (let n = 1; ; n += 1) {
    const { again, result } = await attempt(n);
    if (!again || Date.now() >= deadline) return result;
    await sleep(3000, undefined, { signal: Context.current().cancellationSignal });
  }
}

/** By what a repository goes in its storage: the site's id. */
function nameOf(site: string | null): string {
  return site ?? 'trial';
}

export function secret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

/** bcrypt's alphabet. */
function salt(): string {
  const alphabet = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const [last = 0, ...first] = randomBytes(22);
  // Of the last character only two bits count.
  return `${first.map((byte) => alphabet[byte % 64]).join('')}${'.Oeu'[last % 4]}`;
}
