import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { arch, platform, tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { LabHost } from '../../lab/index.js';

const run = promisify(execFile);
const repository = fileURLToPath(new URL('../..', import.meta.url));

/** Native parts that are built for every platform, and this one's. */
const BRIDGES = 'node_modules/@temporalio/core-bridge/releases';

/**
 * Installs CHOM on a host as the operator's guide says: the package and what it depends on below /opt/chom, with this machine's
 * Node and its Temporal, for a host of the lab has no registry to get them from.
 */
export async function installChom(host: LabHost, temporal: string): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'chom-package-'));
  try {
    await run('npm', ['pack', '--silent', '--pack-destination', directory], { cwd: repository });
    const [tarball = ''] = await readdir(directory);
    await pipe(host, ['cat', join(directory, tarball)], 'tar -xz --strip-components=1 --one-top-level=/opt/chom');
    const listed = await run('npm', ['ls', '--omit=dev', '--all', '--parseable'], {
      cwd: repository,
      maxBuffer: 1 << 24,
    });
    const packages = listed.stdout.split('\n').flatMap((path) => {
      const inside = relative(repository, path);
      // Nested ones come with those that they lie in.
      return /^node_modules\/(@[^/]+\/)?[^/]+$/.test(inside) ? [inside] : [];
    });
    const tar = ['tar', '--create', `--exclude=${BRIDGES}/*`, ...packages];
    await pipe(host, tar, 'tar -x --no-same-owner --directory /opt/chom');
    const [bridge = ''] = (await readdir(join(repository, BRIDGES))).filter((name) => name.startsWith(THIS_BRIDGE));
    await pipe(host, ['tar', '--create', join(BRIDGES, bridge)], 'tar -x --no-same-owner --directory /opt/chom');
    for (const program of [process.execPath, temporal]) {
      const path = `/usr/local/bin/${basename(program)}`;
      await pipe(host, ['cat', program], `cat >${path} && chmod 0755 ${path}`);
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Of `x86_64-unknown-linux-gnu` and the like. */
const THIS_BRIDGE = `${arch() === 'x64' ? 'x86_64' : 'aarch64'}-${platform() === 'linux' ? 'unknown-linux' : 'apple'}`;

/** What a program here prints becomes the input of a script there. */
export async function pipe(host: LabHost, [program = '', ...words]: string[], script: string): Promise<void> {
  const from = spawn(program, words, { cwd: repository, stdio: ['ignore', 'pipe', 'inherit'] });
  const to = spawn('ssh', [...host.sshArguments, script], { stdio: [from.stdout, 'ignore', 'inherit'] });
  const ends = await Promise.all([once(from, 'exit'), once(to, 'exit')]);
  if (ends.some(([exit]) => exit !== 0)) throw new Error(`${program} to ${host.name} (${script}): ${ends.join(', ')}`);
}
