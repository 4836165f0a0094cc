import { createHash } from 'node:crypto';
import type { SFTPWrapper } from 'ssh2';
import { logIn, type Login } from '../host/login.js';
import type { Keyring } from '../inventory/keyring.js';
import * as storages from '../inventory/storages.js';
import type { Storage } from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';

/** Below a storage's path, beside the repositories of sites. */
const DIRECTORY = 'control-plane';

/** @throws InvalidInput backups of CHOM itself cannot go there; Conflict it is not complete */
export function refuseUpload({ name, kind, logins, hostKey, sealedLogin }: Storage): void {
  const next = 'chom storage add NAME --repository sftp:USER@HOST:/path';
  if (kind !== 'sftp') {
    const cause = 'backups of CHOM itself are uploaded over SFTP alone';
    throw failure('InvalidInput', `Storage ${name} is of kind ${kind}`, { cause, next });
  }
  if (logins === 'per-site') {
    const cause = 'each site has a login of its own there, and CHOM itself has none';
    throw failure('InvalidInput', `Nothing of CHOM itself can be uploaded to storage ${name}`, { cause, next });
  }
  if (hostKey === null || sealedLogin === null) {
    throw failure('Conflict', `Storage ${name} has no host key or no login yet`, { next: `chom storage show ${name}` });
  }
}

/**
 * Lays a backup down in an SFTP storage, under another name until it was read back and found to be the same.
 * Returns where it lies. @throws StorageUnreachable; StorageRefused; HostKeyMismatch
 */
export async function uploadBackup(
  storage: Storage,
  keyring: Keyring,
  { file, name, sha256 }: { file: string; name: string; sha256: string },
): Promise<string> {
  refuseUpload(storage);
  const { username, hostname, port, pathname } = new URL(storage.url);
  const login = storages.sharedLogin(storage, keyring);
  if (login?.kind !== 'sftp') throw failure('Bug', `Storage ${storage.name} has a login of another kind`);
  const where: Login = {
    name: storage.name,
    address: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(port || 22),
    user: username,
    hostKey: storage.hostKey ?? '',
    privateKey: Buffer.from(login.privateKey),
    keyId: storage.id,
  };
  const { client, socket } = await logIn(where).catch((error: unknown) => {
    throw failed(storage, 'StorageUnreachable', error);
  });
  try {
    const sftp = await asked<SFTPWrapper>((done) => client.sftp(done));
    const directory = `${pathname.replace(/^\/\//, '/')}/${DIRECTORY}`;
    const [path, partial] = [`${directory}/${name}`, `${directory}/.${name}.partial`];
    // There already, or else the next line says what is wrong.
    await asked((done) => sftp.mkdir(directory, { mode: 0o700 }, done)).catch(() => undefined);
    await asked((done) => sftp.fastPut(file, partial, { mode: 0o600 }, done));
    const hash = createHash('sha256');
    for await (const some of sftp.createReadStream(partial) as AsyncIterable<Buffer>) hash.update(some);
    if (hash.digest('hex') !== sha256) throw new Error('what was read back is not what was written');
    await asked((done) => sftp.rename(partial, path, done));
    return `sftp://${username}@${hostname}:${where.port}/${path}`;
  } catch (error) {
    throw failed(storage, 'StorageRefused', error);
  } finally {
    client.end();
    socket.destroy();
  }
}

async function asked<Result = void>(ask: (done: (error?: Error | null, result?: Result) => void) => void) {
  return await new Promise<Result>((resolve, reject) => {
    ask((error, result) => (error ? reject(error) : resolve(result as Result)));
  });
}

function failed({ name }: Storage, type: 'StorageUnreachable' | 'StorageRefused', error: unknown) {
  return failure(type, `The backup could not be uploaded to storage ${name}`, {
    cause: messageOf(error),
    next: `chom storage check ${name}`,
  });
}
