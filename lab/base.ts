import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory, filledOnce } from '../src/client/programs/cache.js';
import { run } from './command.js';
import { installPackages } from './packages.js';
import { indexRepository } from './repository.js';

/** Debian releases that hosts can have. */
export type DebianRelease = 12 | 13;

const RELEASES = { 12: { suite: 'bookworm', php: '8.2' }, 13: { suite: 'trixie', php: '8.4' } } as const;

/** What a hoster's smallest image has: CHOM needs nothing more to enrol it. */
const BARE = words(
  'apt systemd systemd-sysv dbus libpam-systemd openssh-server iproute2 netbase procps ' +
    'ca-certificates curl openssl sudo tzdata',
);

/** What enrolment installs, so that a host has it without fetching anything. */
const ENROLLED = (php: string): string[] => [
  ...words(
    'nginx-light mariadb-server msmtp restic git logrotate nftables unattended-upgrades rsync unzip zstd xz-utils bzip2',
  ),
  ...words('fpm cli mysql curl gd intl mbstring xml zip').map((part) => `php${php}-${part}`),
];

/** A Debian system in the cache, and a repository of all packages that were needed to make it. */
export interface Base {
  root: string;
  repository: string;
}

/**
 * The base of a release, made when it is not in the cache (1 to 2 minutes). `bare` has only what a hoster's image has;
 * the packages that enrolment wants then come from the repository.
 */
export async function base(release: DebianRelease, bare: boolean): Promise<Base> {
  const { suite, php } = RELEASES[release];
  const packages = [...BARE, ...ENROLLED(php)];
  const full = await image(`debian-${release}`, packages, (directory) => makeFull(directory, suite, packages));
  const repository = join(full, 'repository');
  if (!bare) return { root: join(full, 'root'), repository };
  const small = await image(`debian-${release}-bare`, BARE, async (directory) => {
    process.stderr.write(`lab: making a bare Debian ${release} (about 20 s, once)\n`);
    await makeRoot(join(directory, 'root'), suite, BARE, `deb [trusted=yes] copy://${repository} ./`, []);
  });
  return { root: join(small, 'root'), repository };
}

/** Root of a Debian 13 of these packages, `openssh-client` among them; made when it is not in the cache (1 to 2 minutes). */
export async function debianRoot(name: string, packages: string[]): Promise<string> {
  const { suite } = RELEASES[13];
  const directory = await image(name, packages, async (into) => {
    await installPackages({ mmdebstrap: 'mmdebstrap' });
    process.stderr.write(`lab: making a Debian ${suite} for ${name} (1 to 2 minutes, once)\n`);
    await makeRoot(join(into, 'root'), suite, packages, await mirror(suite), []);
  });
  return join(directory, 'root');
}

async function image(name: string, packages: string[], make: (directory: string) => Promise<void>): Promise<string> {
  // What `make` does beside the package list counts too: raise the number when it changes.
  const key = createHash('sha256')
    .update(`1 ${packages.join(' ')}`)
    .digest('hex')
    .slice(0, 8);
  const directory = join(cacheDirectory(), 'bases', `${name}-${key}`);
  await filledOnce(directory, make, () => process.stderr.write(`lab: another process is making ${name}, waiting\n`));
  return directory;
}

async function makeFull(directory: string, suite: string, packages: string[]): Promise<void> {
  await installPackages({ mmdebstrap: 'mmdebstrap', 'dpkg-deb': 'dpkg' });
  process.stderr.write(`lab: making a Debian ${suite} base (1 to 2 minutes, once)\n`);
  const repository = join(directory, 'repository');
  await mkdir(repository);
  const keep = ['--skip=essential/unlink', `--customize-hook=sync-out /var/cache/apt/archives ${repository}`];
  await makeRoot(join(directory, 'root'), suite, packages, await mirror(suite), keep);
  await indexRepository(repository, suite);
}

async function makeRoot(
  root: string,
  suite: string,
  packages: string[],
  source: string,
  more: string[],
): Promise<void> {
  const options = [
    '--quiet',
    '--variant=minbase',
    `--include=${packages.join(',')}`,
    ...(await aptOptions()).map((option) => `--aptopt=${option}`),
    ...['man', 'doc', 'info', 'locale'].map((part) => `--dpkgopt=path-exclude=/usr/share/${part}/*`),
    ...more,
  ];
  // All that it starts ends with this process, also when this is killed, and its mounts with it.
  const enclosed = ['--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--mount-proc', '--fork', '--kill-child'];
  await run('setpriv', ...enclosed, 'mmdebstrap', ...options, suite, root, source);
  // Each host has its own.
  for (const name of await readdir(join(root, 'etc/ssh'))) {
    if (name.startsWith('ssh_host_')) await rm(join(root, 'etc/ssh', name));
  }
  await writeFile(join(root, 'etc/machine-id'), '');
  // What this machine's apt needs is not for the hosts, which have a repository of their own.
  for (const path of ['apt/sources.list', 'apt/apt.conf.d/99mmdebstrap', 'dpkg/dpkg.cfg.d/99mmdebstrap']) {
    await rm(join(root, 'etc', path), { force: true });
  }
}

/** The mirror that this machine itself uses, or Debian's own. */
export async function mirror(suite: string): Promise<string> {
  const directory = '/etc/apt/sources.list.d';
  const names = (await readdir(directory).catch(() => [])).filter((name) => /\.(list|sources)$/.test(name));
  for (const file of ['/etc/apt/sources.list', ...names.map((name) => join(directory, name))]) {
    const text = await readFile(file, 'utf8').catch(() => '');
    const found = /^(?:deb\s(?:\[.*\]\s*)?|URIs:\s*)(https?:\/\/\S+\/debian\/?)(?:\s|$)/m.exec(text)?.[1];
    if (found) return `deb ${found} ${suite} main`;
  }
  return `deb http://deb.debian.org/debian ${suite} main`;
}

/** What this machine's apt needs to reach its mirror: proxies, and laxity about the dates of a frozen mirror. */
export async function aptOptions(): Promise<string[]> {
  const dump = await run('apt-config', 'dump', 'Acquire');
  return dump
    .split('\n')
    .filter((line) => /^Acquire::(https?::Proxy|Check-(Date|Valid-Until)|Retries)\S* "[^"]+";$/.test(line));
}

function words(text: string): string[] {
  return text.split(' ');
}
