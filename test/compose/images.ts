import { copyFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { aptOptions, debianRoot, mirror } from '../../lab/base.js';
import { run } from '../../lab/command.js';
import { temporalServerPrograms, temporalUi } from '../../lab/temporal-programs.js';
import { findProgram } from '../../src/client/program.js';
import { temporalCli } from '../../src/client/programs/temporal.js';
import { type Docker, startDocker } from './docker.js';

const repository = fileURLToPath(new URL('../..', import.meta.url));

const PACKAGES = [
  // Of PostgreSQL and of what is told from a host's image; then what packaging/Dockerfile installs.
  ...['postgresql', 'iproute2', 'ca-certificates', 'git', 'openssh-client', 'restic', 'tini'],
  ...['python3', 'make', 'g++'],
];

/**
 * Makes the images of docker-compose.local.yml: no registry of images is needed. `chom-local` has PostgreSQL and Temporal's programs;
 * CHOM's own is built by packaging/Dockerfile, on a Debian with this machine's Node.
 */
export async function makeImages(): Promise<void> {
  const root = await debianRoot('compose', PACKAGES);
  const programs = [
    await findProgram(temporalCli),
    await temporalUi(),
    ...Object.values(await temporalServerPrograms()),
  ];
  const docker = await startDocker('none');
  const directory = await mkdtemp(join(tmpdir(), 'chom-images-'));
  try {
    const debian = `chom-local-debian:${basename(dirname(root))}`;
    if ((await docker.docker('image', 'ls', '--quiet', debian)) === '') {
      await run('sh', '-c', 'tar -C "$0" -c . | docker --host "$1" import - "$2"', root, docker.host, debian);
    }
    const withPrograms = `FROM ${debian}\nCOPY files /usr/local/bin/\n`;
    await build(docker, join(directory, 'programs'), 'chom-local', withPrograms, async (files) => {
      for (const program of programs) await copyFile(program, join(files, basename(program)));
    });
    await build(docker, join(directory, 'node'), 'chom-local-node', `FROM ${debian}\n${NODE}`, node);
    const arguments_ = ['--build-arg', 'BASE=chom-local-node', '--file', join(repository, 'packaging/Dockerfile')];
    await docker.docker('build', '--quiet', '--network', 'host', ...arguments_, '--tag', 'chom:0.1.0', repository);
    // What earlier builds have left; the newest layers are what the next one begins with.
    await docker.docker('image', 'prune', '--force', '--filter', 'until=24h');
  } finally {
    await docker.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

async function build(
  { docker }: Docker,
  context: string,
  tag: string,
  text: string,
  fill: (files: string) => Promise<void>,
): Promise<void> {
  const files = join(context, 'files');
  await mkdir(files, { recursive: true });
  await fill(files);
  await writeFile(join(context, 'Dockerfile'), text);
  await docker('build', '--quiet', '--tag', tag, context);
}

/** What this machine reaches its mirrors with is not for CHOM's image alone: the base stands for one that has it. */
const NODE = `COPY files /
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt npm_config_cafile=/etc/ssl/certs/ca-certificates.crt npm_config_nodedir=/usr/local
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
`;

/** This machine's Node with npm and what native parts are compiled with, and its way to Debian's mirror. */
async function node(files: string): Promise<void> {
  const [bin, modules, include] = ['bin', 'lib/node_modules', 'include'].map((part) => join(files, 'usr/local', part));
  const prefix = dirname(dirname(process.execPath));
  const npm = (await run('npm', 'root', '--global')).trim();
  await mkdir(bin ?? '', { recursive: true });
  await copyFile(process.execPath, join(bin ?? '', 'node'));
  await cp(join(npm, 'npm'), join(modules ?? '', 'npm'), { recursive: true });
  await cp(join(prefix, 'include/node'), join(include ?? '', 'node'), { recursive: true });
  const [apt, certificates] = [join(files, 'etc/apt'), join(files, 'etc/ssl/certs')];
  await mkdir(join(apt, 'apt.conf.d'), { recursive: true });
  await mkdir(certificates, { recursive: true });
  await writeFile(join(apt, 'sources.list'), `${await mirror('trixie')}\n`);
  await writeFile(join(apt, 'apt.conf.d/90mirror'), `${(await aptOptions()).join('\n')}\n`);
  const bundle = await readFile('/etc/ssl/certs/ca-certificates.crt');
  await writeFile(join(certificates, 'ca-certificates.crt'), bundle);
}
