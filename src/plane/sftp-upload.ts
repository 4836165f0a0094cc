import { createHash } from 'node:crypto';
import type { FileEntry, SFTPWrapper } from 'ssh2';
import { logIn, type Login } from '../host/login.js';
import type { StorageLogin } from '../inventory/storage-login.js';
import type { Storage } from '../inventory/storages.js';
import { DIRECTORY, uploadFailed, type Uploaded } from './uploaded.js';

type SftpLogin = Extract<StorageLogin, { kind: 'sftp' }>;

/**
 * Lays a backup down in an SFTP storage, under another name until it was read back and found to be the same.
 * Returns where it lies. @throws StorageUnreachable; StorageRefused; HostKeyMismatch
 */
export async function uploadOverSftp(
  storage: Storage,
  login: SftpLogin,
  { file, name, sha256 }: Uploaded,
): Promise<string> {
  return await overSftp(storage, login, async (sftp, directory, address) => {
    const [path, partial] = [`${directory}/${name}`, `${directory}/.${name}.partial`];
    // There already, or else the next line says what is wrong.
    await asked((done) => sftp.mkdir(directory, { mode: 0o700 }, done)).catch(() => undefined);
    await asked((done) => sftp.fastPut(file, partial, { mode: 0o600 }, done));
    const hash = createHash('sha256');
    for await (const some of sftp.createReadStream(partial) as AsyncIterable<Buffer>) hash.update(some);
    if (hash.digest('hex') !== sha256) throw new Error('what was read back is not what was written');
    await asked((done) => sftp.rename(partial, path, done));
    return `${address}/${path}`;
  });
}

/** Removes those of the backups there that `pick` names. Returns their names. @throws as `uploadOverSftp` */
export async function removeOverSftp(
  storage: Storage,
  login: SftpLogin,
  pick: (names: string[]) => string[],
): Promise<string[]> {
  return await overSftp(storage, login, async (sftp, directory) => {
    const found = await asked<FileEntry[]>((done) => sftp.readdir(directory, done));
    const spare = pick(found.map(({ filename }) => filename));
    for (const name of spare) await asked((done) => sftp.unlink(`${directory}/${name}`, done));
    return spare;
  });
}

/** `fn` is given the directory of backups, and the address of the storage for people. */
async function overSftp<Result>(
  storage: Storage,
  login: SftpLogin,
  fn: (sftp: SFTPWrapper, directory: string, address: string) => Promise<Result>,
): Promise<Result> {
  const { username, hostname, port, pathname } = new URL(storage.url);
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
    throw uploadFailed(storage, 'StorageUnreachable', error);
  });
  try {
    const sftp = await asked<SFTPWrapper>((done) => client.sftp(done));
    const directory = `${pathname.replace(/^\/\//, '/')}/${DIRECTORY}`;
    return await fn(sftp, directory, `sftp://${username}@${hostname}:${where.port}`);
  } catch (error) {
    throw uploadFailed(storage, 'StorageRefused', error);
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
