import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { escrowInRepository, escrowOnDisk, escrowOverSftp, escrowPath } from '../../src/host/escrow.js';
import { checkRepository, forgetSnapshots, listRepository, pruneRepository } from '../../src/host/maintenance.js';
import { onDisk, overNetwork } from '../../src/host/reach.js';
import { initRepository, parseRepositoryId } from '../../src/host/restic-repository.js';
import type { Script } from '../../src/host/shell.js';
import { addSftpUser, closeSftpUser, sftpUserName } from '../../src/host/sftp-user.js';
import { addRestUser, removeRestUser } from '../../src/host/storage-host.js';
import { parseAccess, tryDeleting } from '../../src/host/trial.js';

const access = { url: 'sftp://b@store.example:22//data/trial', login: null, ca: null };
const login = { kind: 's3', accessKeyId: 'AKIA', secretAccessKey: 'open sesame' } as const;
const s3 = { url: 's3:https://h.example/b/trial', login, ca: 'PEM', password: Buffer.from('x'), hostKey: null };
const user = addRestUser({ path: '/srv/rest', user: 'sabc', salt: 'abcdefghijklmnopqrstuu' });
const sealed = { name: 'sabc', sealed: 'chom-recovery1.a.b' };

it('the scripts are scripts to the shell of a host', () => {
  const one = { storage: 'stoabc', path: '/srv/backups', name: 'sabc', key: 'ssh-ed25519 AAAA' };
  const steps = [
    user,
    addSftpUser(one),
    closeSftpUser(one),
    removeRestUser({ path: '/srv/rest', user: 'sabc' }),
    escrowOnDisk('/srv/rest', sealed),
    escrowOverSftp('sftp://b@h.example:22//data', sealed),
  ];
  const reaches = [
    onDisk({ path: '/srv/rest', name: 'sabc' }, Buffer.from("it's")),
    overNetwork(s3, 'sabc', { program: '/opt/it is/restic', cache: '/var/cache' }),
  ];
  const scripts = [
    ...[...steps, initRepository(access)].flatMap(({ check, act }) => [check, act]),
    escrowInRepository('s3:https://h.example/b', s3, sealed, Buffer.from('x')).act,
    tryDeleting(access, 'trial-1'),
    tryDeleting(s3, 'trial-1'),
    ...reaches.flatMap((reach) => [
      checkRepository(reach, { readData: '1/4', limitSeconds: 60 }),
      listRepository(reach),
      pruneRepository(reach, { all: true }).act,
      forgetSnapshots(reach, ['ab'.repeat(32)]).act,
    ]),
  ];
  for (const { script } of scripts) expect(execFileSync('dash', ['-n'], { input: script, encoding: 'utf8' })).toBe('');
});

describe('below a storage', () => {
  let directory = '';
  beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'chom-storage-'))));
  afterEach(() => rmSync(directory, { recursive: true }));

  /** As this user, who owns the directory: what the script does before that is systemd's and root's. */
  function run({ script }: Script, password = '') {
    writeFileSync(join(directory, 'login'), password);
    const text = script
      .toString()
      .replaceAll('/srv/rest', directory)
      .replace(/install -d -m 0700 '\/var\/lib\/chom\/locks'\n[^]*?\n}/, '')
      .replaceAll(/setpriv .*? sh -c/g, 'sh -c');
    const env = { PATH: process.env['PATH'] ?? '', CREDENTIALS_DIRECTORY: directory };
    return spawnSync('dash', { input: text, encoding: 'utf8', env });
  }
  const passwords = () => readFileSync(join(directory, '.htpasswd'), 'utf8');

  it('a user is let in once, beside those of others, by a bcrypt hash of his password', () => {
    writeFileSync(join(directory, '.htpasswd'), '# ours\nother:$2y$05$x', { mode: 0o640 });
    expect(run(user.check, 'open sesame').status).toBe(1);
    expect(run(user.act, 'open sesame')).toMatchObject({ status: 0, stderr: '' });
    expect(passwords()).toMatch(/^# ours\nother:\$2y\$05\$x\nsabc:\$2y\$10\$abcdefghijklmnopqrstu\S{32}\n$/);
    expect(statSync(join(directory, '.htpasswd')).mode & 0o777).toBe(0o640);
    expect(run(user.check, 'open sesame').status).toBe(0);
    expect(run(user.check, 'open barley').status).toBe(1);
    expect(run(user.act, 'open barley').status).toBe(0);
    expect(passwords().match(/^sabc:/gm)).toHaveLength(1);
    expect(run(user.check, 'open barley').status).toBe(0);
    const closing = removeRestUser({ path: '/srv/rest', user: 'sabc' });
    expect(run(closing.check).status).toBe(1);
    expect(run(closing.act)).toMatchObject({ status: 0, stderr: '' });
    expect(passwords()).toBe('# ours\nother:$2y$05$x\n');
    expect([run(closing.check).status, run(closing.act).status]).toEqual([0, 0]);
  });

  it('a sealed password is laid down and read back', () => {
    const { check, act } = escrowOnDisk('/srv/rest', sealed);
    expect(run(check).status).not.toBe(0);
    expect(run(act)).toMatchObject({ status: 0, stderr: '' });
    expect(run(check).status).toBe(0);
    expect(readFileSync(join(directory, 'recovery/sabc'), 'utf8')).toBe('chom-recovery1.a.b');
    writeFileSync(join(directory, 'recovery/sabc'), 'something else');
    expect(run(check).status).not.toBe(0);
  });

  it('names that climb are refused', () => {
    expect(() => escrowPath('../x')).toThrow('names no repository');
    expect(() => sftpUserName({ storage: 'stoabc', name: 'a b' })).toThrow('no user of a storage');
    expect(() => addRestUser({ path: '/srv/rest', user: 'a:b', salt: 'a'.repeat(22) })).toThrow('no user of a storage');
    expect(() => escrowOverSftp('sftp://b@h.example:22//da"ta', sealed)).toThrow('batch of sftp');
  });
});

it('what restic and the trial print is read', () => {
  const id = '0123456789abcdef'.repeat(4);
  expect(parseRepositoryId(`noise\n${id}\n`)).toBe(id);
  expect(parseRepositoryId(id.slice(1))).toBeNull();
  expect(parseAccess('noise\naccess=append-only\n')).toBe('append-only');
  expect(parseAccess('access=deletable')).toBe('deletable');
  expect(parseAccess('access=')).toBeNull();
});
