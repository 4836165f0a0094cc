import { failure } from '../workflows/failures.js';
import type { CheckedStep } from './certificate.js';
import { repositoryName, restic, resticCredentials, sshArguments, type RepositoryAccess } from './restic.js';
import { sh } from './shell.js';
import { asOwner } from './storage-host.js';

/** A password that lies beside its repository, sealed to the recovery key. */
export interface Escrow {
  /** A site's id, or `trial`. */
  name: string;
  /** Sealed text. */
  sealed: string;
}

/** Below a storage's directory, beside the repositories. */
const DIRECTORY = 'recovery';

/** Where it lies below the storage's directory. */
export function escrowPath(name: string): string {
  return `${DIRECTORY}/${repositoryName(name)}`;
}

/** On the server that keeps the files: lays it down, and reads it back. */
export function escrowOnDisk(path: string, { name, sealed }: Escrow): CheckedStep {
  const file = escrowPath(name);
  const readBack = asOwner(path, sh`printf %s ${sealed} | cmp -s - ${file}`);
  return {
    check: readBack,
    act: sh`set -eu
${asOwner(
  path,
  sh`umask 077
mkdir -p ${DIRECTORY}
printf %s ${sealed} >${`${file}.new`}
sync ${`${file}.new`}
mv -fT ${`${file}.new`} ${file}
sync ${DIRECTORY}`,
)}
${readBack}`,
  };
}

/**
 * Through restic, where that alone reaches the storage: as the only file of a repository of its own, which `password` opens.
 * What restic needs to get there, signatures and regions, is then restic's affair. `url`: of that repository. Exit codes of restic.
 */
export function escrowInRepository(
  url: string,
  { login, hostKey, ca }: RepositoryAccess,
  { name, sealed }: Escrow,
  password: Buffer,
): CheckedStep & { secrets: Record<string, Buffer> } {
  const access = { url, password, login, hostKey, ca };
  const command = restic(access, { limitSeconds: 60 });
  // Of two attempts that sealed it each, either will do, for both hold the same password; the newer one is compared.
  const readBack = sh`[ "$(${command} --no-lock dump latest /sealed)" = ${sealed} ]`;
  return {
    check: readBack,
    act: sh`${command} --no-lock cat config >/dev/null 2>&1 || ${command} init >&2 || exit $?
printf %s ${sealed} | ${command} backup --host ${name} --stdin --stdin-filename sealed >&2 || exit $?
${readBack} || { echo 'what was written is not what is read back' >&2; exit 1; }`,
    secrets: resticCredentials(access),
  };
}

/** Over SFTP, with the credentials of the repository: lays it down, and reads it back. Exit codes of sftp(1). */
export function escrowOverSftp(storageUrl: string, { name, sealed }: Escrow): CheckedStep {
  const { username, hostname, port, pathname } = new URL(storageUrl);
  const base = pathname.replace(/^\/\//, '/');
  // sftp's batch has a quoting of its own; what the storage's address may hold needs none.
  if (!/^[A-Za-z0-9._/-]+$/.test(base)) throw failure('Bug', `${base} cannot be written in a batch of sftp`);
  const file = `${base}/${escrowPath(name)}`;
  const to = [port === '' ? '22' : port, `${username}@${hostname}`];
  const sftp = sh`sftp ${sshArguments()} -o LogLevel=ERROR -b - -P ${to}`;
  const scratch = sh`t=$(mktemp -d) || exit 1
trap 'rm -rf "$t"' EXIT
printf %s ${sealed} >"$t/sealed"`;
  const readBack = sh`echo ${`get ${file} `}"$t/back" | ${sftp} >/dev/null || exit 1
cmp -s "$t/sealed" "$t/back"`;
  return {
    check: sh`${scratch}
${readBack}`,
    act: sh`${scratch}
{ echo ${`-mkdir ${base}/${DIRECTORY}`}
  echo "put $t/sealed" ${`${file}.new`}
  echo ${`rename ${file}.new ${file}`}
} | ${sftp} >/dev/null || exit $?
${readBack}`,
  };
}
