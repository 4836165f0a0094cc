import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { knownHost, repositoryUrl, restic, resticCredentials, type RepositoryAccess } from '../../src/host/restic.js';
import { sh } from '../../src/host/shell.js';

const password = Buffer.from('open sesame');
const rest: RepositoryAccess = {
  ...{ url: 'rest:https://store.example:8000/sabc', password, hostKey: null, ca: null },
  login: { kind: 'rest', user: 'sabc', password: 'a/b:c@d' },
};
const sftp: RepositoryAccess = {
  ...{ url: 'sftp://backup@198.18.0.9:2222//data/sabc', password, hostKey: 'ssh-ed25519 AAAA', ca: null },
  login: { kind: 'sftp', privateKey: 'PRIVATE' },
};

/** The words and the environment that a shell makes of it. */
function words(access: RepositoryAccess, options?: Parameters<typeof restic>[1]) {
  const { script } = restic(access, options);
  const print = `CREDENTIALS_DIRECTORY=/run/credentials/chom-x.service
    show() { env | grep -E '^(RESTIC|AWS)_' | sort; echo; for word in "$@"; do echo "$word"; done; }
    ${script.toString().replace(`'/usr/local/lib/chom/restic'`, 'show')} snapshots`;
  const [environment = '', list = ''] = execFileSync('dash', { input: print, encoding: 'utf8', env: {} }).split('\n\n');
  return { environment: environment.split('\n'), words: list.trimEnd().split('\n') };
}

describe('restic', () => {
  it('reads address and password from credentials, and its command line and environment hold no secret', () => {
    expect(words(rest)).toEqual({
      environment: [
        'RESTIC_PASSWORD_FILE=/run/credentials/chom-x.service/password',
        'RESTIC_PROGRESS_FPS=0.2',
        'RESTIC_REPOSITORY_FILE=/run/credentials/chom-x.service/repository',
      ],
      words: ['--json', '--no-cache', 'snapshots'],
    });
    const { script } = sh`${restic({ ...rest, ca: 'PEM' })} backup`;
    expect(script.toString()).not.toMatch(/sesame|a\/b|store\.example|PEM/);
    expect(resticCredentials(rest)).toEqual({
      password,
      repository: Buffer.from('rest:https://sabc:a%2Fb%3Ac%40d@store.example:8000/sabc'),
    });
  });

  it('trusts the CA that it is given, keeps its cache, and waits for a lock', () => {
    const { words: made } = words({ ...rest, ca: 'PEM' }, { cache: '/var/cache/chom/restic/sabc', waitSeconds: 60 });
    expect(made).toEqual([
      ...['--json', '--cache-dir', '/var/cache/chom/restic/sabc', '--retry-lock', '60s'],
      ...['--cacert', '/run/credentials/chom-x.service/ca', 'snapshots'],
    ]);
    expect(resticCredentials({ ...rest, ca: 'PEM' })['ca']?.toString()).toBe('PEM');
  });

  it('logs in over SFTP with its key alone, and to the pinned host alone', () => {
    const at = '/run/credentials/chom-x.service';
    expect(words(sftp).words).toEqual([
      ...['--json', '--no-cache', '-o'],
      `sftp.args=-F none -i ${at}/ssh-key -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes ` +
        `-o StrictHostKeyChecking=yes -o UpdateHostKeys=no -o UserKnownHostsFile=${at}/known-hosts ` +
        '-o GlobalKnownHostsFile=/dev/null -o ServerAliveInterval=10 -o ServerAliveCountMax=3 -o ConnectTimeout=15',
      'snapshots',
    ]);
    expect(resticCredentials(sftp)).toEqual({
      ...{ password, repository: Buffer.from('sftp://backup@198.18.0.9:2222//data/sabc') },
      'known-hosts': Buffer.from('[198.18.0.9]:2222 ssh-ed25519 AAAA\n'),
      'ssh-key': Buffer.from('PRIVATE'),
    });
    expect(() => resticCredentials({ ...sftp, hostKey: null })).toThrow('No host key or login is known');
  });

  it('gets the keys of S3 in a file, and curl in another', () => {
    const login = { kind: 's3', accessKeyId: 'AKIA', secretAccessKey: 'open sesame' } as const;
    const access = { ...rest, url: 's3:https://s3.example/bucket/sabc', login };
    expect(words(access).environment[0]).toBe('AWS_SHARED_CREDENTIALS_FILE=/run/credentials/chom-x.service/s3');
    expect(resticCredentials(access)['s3']?.toString()).toBe(
      '[default]\naws_access_key_id=AKIA\naws_secret_access_key=open sesame\n',
    );
    expect(resticCredentials(access)['curl']?.toString()).toBe('user = "AKIA:open sesame"\n');
  });

  it('finds the repository of a site below its storage', () => {
    expect(repositoryUrl('sftp://backup@198.18.0.9:22//data', 'sabc')).toBe('sftp://backup@198.18.0.9:22//data/sabc');
    expect(repositoryUrl('rest:https://store.example:8000/', 'sabc')).toBe('rest:https://store.example:8000/sabc');
    expect(repositoryUrl('/srv/backups', 'sabc')).toBe('/srv/backups/sabc');
    expect(() => repositoryUrl('/srv/backups', '../sabc')).toThrow('names no repository');
  });

  it('writes known_hosts as ssh looks it up', () => {
    expect(knownHost('sftp://b@store.example:22//data', 'ssh-ed25519 AAAA')).toBe('store.example ssh-ed25519 AAAA\n');
    expect(knownHost('sftp://b@[2001:db8::1]:22//d', 'ssh-ed25519 AAAA')).toBe('2001:db8::1 ssh-ed25519 AAAA\n');
    expect(knownHost('sftp://b@[2001:db8::1]:23//d', 'ssh-ed25519 AAAA')).toBe('[2001:db8::1]:23 ssh-ed25519 AAAA\n');
  });
});
