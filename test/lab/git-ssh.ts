import type { LabHost } from '../../lab/index.js';
import { makeSshKey } from '../../src/host/ssh-key.js';
import { sh } from '../../src/host/shell.js';
import { ask } from './on-host.js';

/** A git repository that a host serves over its own sshd to one key, as a hoster of repositories does. */
export interface SshRepository {
  /** `ssh://git@<name>/srv/git/site.git` */
  url: string;
  privateKey: string;
  /** Each command that was asked for by that key. */
  log: string;
}

/** Its branch `main` holds `index.html`: `over ssh`. The host knows itself by the name. */
export async function startSshRepository(host: LabHost, name: string): Promise<SshRepository> {
  const key = makeSshKey('deploy');
  const log = '/srv/git/log';
  const command = `echo "$SSH_ORIGINAL_COMMAND" >>${log}; exec git-shell -c "$SSH_ORIGINAL_COMMAND"`;
  await ask(
    host,
    sh`echo ${`${host.address} ${name}`} >>/etc/hosts
useradd --system --home-dir /srv/git --create-home --shell /bin/sh git
cd /srv/git && install -d -o git -g git -m 700 .ssh
echo ${`restrict,command="${command.replaceAll('"', '\\"')}" ${key.public}`} >.ssh/authorized_keys
chown git .ssh/authorized_keys && chmod 600 .ssh/authorized_keys
runuser -u git -- sh -ec ${
      sh`git init -q --bare -b main site.git; git clone -q site.git work 2>/dev/null; cd work
echo 'over ssh' >index.html; git add .; git -c user.name=lab -c user.email=lab@lab.test commit -q -m first; git push -q origin HEAD:main`
        .script
    }`,
  );
  return { url: `ssh://git@${name}/srv/git/site.git`, privateKey: key.private.toString(), log };
}
