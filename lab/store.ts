import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LabHost } from './host.js';
import { address } from './network.js';
import type { HostState, LabState } from './state.js';
import { type LabS3, labS3 } from './s3.js';
import { makeCertificate } from './tls.js';

/** A host that keeps backups, by SFTP and by restic's REST server. */
export interface LabStore {
  readonly host: LabHost;
  /** Chrooted, by key alone, one login; what it can write it can delete. */
  readonly sftp: string;
  /** Over TLS, append-only, private repositories: user `x` reaches `/x/` alone. Users are in `<restPath>/.htpasswd`. */
  readonly rest: string;
  /** PEM file with the CA of its certificate. */
  readonly caFile: string;
  /** Where on the host the files of each lie. */
  readonly sftpPath: string;
  readonly restPath: string;
  /** The same repositories without restrictions or login, on the host's loopback alone: for pruning. */
  readonly maintenance: string;
  readonly s3: LabS3;
  /** Lets a key in over SFTP: a line of authorized_keys(5). */
  authorize(line: string): Promise<void>;
}

const PORT = 8000;
const MAINTENANCE_PORT = 8001;
const USER = 'store';
const [CHROOT, REST] = ['/srv/sftp', '/srv/rest'];

type Lab = Pick<LabState, 'directory' | 'subnet'>;
const caFile = (lab: Lab, host: HostState): string => join(lab.directory, 'hosts', host.name, 'ca.pem');

export function labStore(lab: Lab, state: HostState, host: LabHost): LabStore {
  return {
    host,
    sftp: `sftp:${USER}@${host.address}:/data`,
    rest: `rest:https://${host.address}:${PORT}`,
    caFile: caFile(lab, state),
    sftpPath: `${CHROOT}/data`,
    restPath: REST,
    maintenance: `rest:http://127.0.0.1:${MAINTENANCE_PORT}`,
    s3: labS3(host),
    async authorize(line) {
      if (/['\n]/.test(line)) throw new Error(`no line of authorized_keys: ${line}`);
      const { exit, stderr } = await host.exec(`echo '${line}' >>/etc/ssh/store_keys`);
      if (exit !== 0) throw new Error(stderr);
    },
  };
}

/** A file of the host: its text and mode. */
export type StoreFile = readonly [path: string, content: string | Buffer, mode?: number];

/** What makes a host a store, beside what each host has, and the CA, which this machine keeps. */
export async function storeFiles(
  lab: Lab,
  host: HostState,
  restServer: string,
): Promise<{ files: StoreFile[]; caFile: string; ca: string }> {
  const { ca, certificate, privateKey } = await makeCertificate(`${host.name}.lab.test`, address(lab, host.number));
  const serve = (name: string, options: string) =>
    [`etc/systemd/system/${name}.service`, unit(`/usr/local/bin/rest-server --path ${REST} ${options}`)] as const;
  return {
    caFile: caFile(lab, host),
    ca,
    files: [
      ['usr/local/bin/rest-server', await readFile(restServer), 0o755],
      ['usr/local/sbin/make-store', MAKE, 0o755],
      ['etc/systemd/system/make-store.service', ONCE],
      ['etc/rest-server/certificate.pem', certificate],
      ['etc/rest-server/key.pem', privateKey, 0o600],
      serve(
        'rest-server',
        `--listen :${PORT} --tls --tls-cert /etc/rest-server/certificate.pem --tls-key /etc/rest-server/key.pem --append-only --private-repos`,
      ),
      serve('rest-server-maintenance', `--listen 127.0.0.1:${MAINTENANCE_PORT} --no-auth`),
      ['etc/ssh/store_keys', ''],
      ['etc/ssh/sshd_config.d/store.conf', SSHD],
      ['etc/systemd/system/multi-user.target.d/store.conf', WANTS],
    ],
  };
}

const MAKE = `#!/bin/sh -eu
id ${USER} >/dev/null 2>&1 || useradd --system --home-dir / --no-create-home --shell /usr/sbin/nologin ${USER}
id rest-server >/dev/null 2>&1 || useradd --system --home-dir / --no-create-home --shell /usr/sbin/nologin rest-server
install -d -m 0755 ${CHROOT}
install -d -m 0700 -o ${USER} -g ${USER} ${CHROOT}/data
install -d -m 0700 -o rest-server -g rest-server ${REST}
[ -e ${REST}/.htpasswd ] || install -m 0600 -o rest-server -g rest-server /dev/null ${REST}/.htpasswd
chown rest-server /etc/rest-server/key.pem
`;

const ONCE = `[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/make-store
`;

function unit(command: string): string {
  return `[Unit]
Requires=make-store.service
After=make-store.service network.target

[Service]
User=rest-server
UMask=0077
ExecStart=${command}
Restart=on-failure
`;
}

const WANTS = `[Unit]
Wants=rest-server.service rest-server-maintenance.service
`;

const SSHD = `Match User ${USER}
  AuthorizedKeysFile /etc/ssh/store_keys
  PasswordAuthentication no
  KbdInteractiveAuthentication no
  ChrootDirectory ${CHROOT}
  ForceCommand internal-sftp
  DisableForwarding yes
`;
