import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type CheckedStep,
  discardPair,
  hasPrevious,
  installPair,
  makeRequest,
  pairPaths,
  putChallenges,
  readRequest,
  removeChallenges,
} from '../../src/host/certificate.js';
import { EXIT } from '../../src/host/exit-codes.js';
import type { Script } from '../../src/host/shell.js';

const run = promisify(execFile);
const site = 'sabcdefghi';
const at = (candidate: string) => ({ site, candidate });

// The scripts themselves run, by the shell that hosts have, in a directory that stands for the root of a host; nginx and
// systemctl are stood in for by programs that note how they were called.
let root: string;
let state: string;
/** What is signalled as nginx: notes each reload. */
let nginx: ChildProcess;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'chom-certificate-'));
  state = join(root, 'var/lib/chom');
  await mkdir(join(root, 'bin'));
  await mkdir(join(state, 'tls'), { recursive: true });
  await mkdir(join(root, 'etc/nginx/chom.d'), { recursive: true });
  await writeFile(join(root, 'calls'), '');
  await program(
    'nginx',
    `echo "nginx $*" >>${root}/calls; if [ -e ${root}/nginx-refuses ]; then echo refused >&2; exit 1; fi`,
  );
  nginx = spawn('dash', ['-c', `trap 'echo reload >>${root}/calls' HUP; echo; while :; do sleep 0.01; done`]);
  await once(nginx.stdout ?? nginx, 'data');
  await program('systemctl', `echo "systemctl $*" >>${root}/calls; [ "$1" != show ] || echo ${nginx.pid}`);
});

afterEach(async () => {
  nginx.kill('SIGKILL');
  await rm(root, { recursive: true, force: true });
});

async function program(name: string, body: string): Promise<void> {
  await writeFile(join(root, 'bin', name), `#!/bin/sh\n${body}\n`);
  await chmod(join(root, 'bin', name), 0o755);
}

async function shell(script: Script): Promise<{ exit: number; stdout: string; stderr: string }> {
  const { uid, gid } = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const text = script.script
    .toString()
    .replaceAll('/var/lib/chom', state)
    .replaceAll('/etc/nginx', join(root, 'etc/nginx'))
    .replaceAll('root:root', `${uid}:${gid}`);
  const environment = { ...process.env, PATH: `${join(root, 'bin')}:${process.env['PATH']}` };
  try {
    return { exit: 0, ...(await run('dash', ['-c', text], { env: environment })) };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { exit: code, stdout, stderr };
  }
}

/** Runs a step as a host does, and expects it to be so afterwards. */
async function succeed(step: CheckedStep): Promise<void> {
  expect((await shell(step.check)).exit).not.toBe(0);
  expect(await shell(step.act)).toMatchObject({ exit: 0 });
  expect((await shell(step.check)).exit).toBe(0);
}

/** Makes a key with its request, and a certificate for that key as an authority would. */
async function issue(candidate: string): Promise<string> {
  await shell(makeRequest(at(candidate), ['a.test']).act);
  const next = join(state, 'tls', site, 'next', candidate);
  const arguments_ = ['req', '-x509', '-key', join(next, 'key.pem'), '-subj', `/CN=${candidate}`, '-days', '30'];
  return (await run('openssl', arguments_)).stdout;
}

async function calls(): Promise<string[]> {
  return (await readFile(join(root, 'calls'), 'utf8')).split('\n').filter(Boolean);
}

/** The subject of the certificate that nginx would load, after seeing that its key belongs to it. */
async function current(): Promise<string | null> {
  const { key, chain } = pairPaths(site);
  const inRoot = (path: string) => path.replace('/var/lib/chom', state);
  const text = await readFile(inRoot(chain), 'utf8').catch(() => null);
  if (text === null) return null;
  const certificate = new X509Certificate(text);
  const own = createPublicKey(await readFile(inRoot(key), 'utf8'));
  expect(certificate.publicKey.equals(own)).toBe(true);
  return certificate.subject;
}

describe('a key and request', () => {
  test('are made once, for all names, the key for root alone', async () => {
    const step = makeRequest(at('one'), ['a.test', 'www.a.test']);
    await succeed(step);
    const { stdout } = await shell(readRequest(at('one')));
    await writeFile(join(root, 'request'), stdout);
    const read = await run('openssl', ['req', '-in', join(root, 'request'), '-noout', '-verify', '-text']);
    expect(read.stdout).toContain('DNS:a.test, DNS:www.a.test');
    expect(read.stdout).toContain('NIST CURVE: P-256');
    expect(stdout).not.toContain('PRIVATE');
    const key = join(state, 'tls', site, 'next/one/key.pem');
    expect((await stat(key)).mode & 0o777).toBe(0o600);
    expect((await stat(join(state, 'tls', site))).mode & 0o777).toBe(0o700);
  });

  test('for a hundred long names are no problem', async () => {
    const names = Array.from(
      { length: 100 },
      (_, n) => `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.n${n}.test`,
    );
    expect(await shell(makeRequest(at('long'), names).act)).toMatchObject({ exit: 0 });
  });
});

describe('a pair', () => {
  test('that is the first waits for the site to be published', async () => {
    await succeed(installPair(at('one'), await issue('one')));
    expect(await current()).toBe('CN=one');
    expect((await shell(hasPrevious(site))).stdout).toBe('no\n');
    expect(await calls()).toEqual([]);
    expect((await stat(join(state, 'tls', site, 'pairs/one/key.pem'))).mode & 0o777).toBe(0o600);
    expect((await readdir(join(state, 'tls', site, 'pairs/one'))).sort()).toEqual(['fullchain.pem', 'key.pem', 'told']);
  });

  test('that replaces one is taken by nginx at once', async () => {
    await succeed(installPair(at('one'), await issue('one')));
    await succeed(installPair(at('two'), await issue('two')));
    expect(await current()).toBe('CN=two');
    expect((await shell(hasPrevious(site))).stdout).toBe('yes\n');
    const told = ['systemctl -q is-active nginx', 'systemctl show -P MainPID nginx'];
    await expect.poll(calls).toEqual(['nginx -t', ...told, 'reload']);
  });

  test('is kept as long as it is in use or was before, and no longer', async () => {
    for (const candidate of ['one', 'two', 'three']) await succeed(installPair(at(candidate), await issue(candidate)));
    expect((await readdir(join(state, 'tls', site, 'pairs'))).sort()).toEqual(['three', 'two']);
  });

  test('whose certificate is for another key is refused, and nothing changes', async () => {
    await succeed(installPair(at('one'), await issue('one')));
    const foreign = await issue('other');
    await issue('two');
    const refused = await shell(installPair(at('two'), foreign).act);
    expect(refused.exit).toBe(EXIT.rejected);
    expect(await current()).toBe('CN=one');
  });

  test.each([
    ['that nginx refuses leaves the one before', true, EXIT.rejected],
    ['that meets a broken nginx leaves the one before', false, EXIT.broken],
  ])('%s', async (_, onlyOnce, exit) => {
    await succeed(installPair(at('one'), await issue('one')));
    await writeFile(join(root, 'nginx-refuses'), '');
    if (onlyOnce)
      await program(
        'nginx',
        `if [ -e ${root}/nginx-refuses ]; then rm ${root}/nginx-refuses; echo refused >&2; exit 1; fi`,
      );
    const refused = await shell(installPair(at('two'), await issue('two')).act);
    expect(refused.exit).toBe(exit);
    expect(refused.stderr).toContain('refused');
    expect(await current()).toBe('CN=one');
    expect(await calls()).not.toContain('systemctl show -P MainPID nginx');
  });

  test('can be installed again where it was interrupted', async () => {
    await succeed(installPair(at('one'), await issue('one')));
    const step = installPair(at('two'), await issue('two'));
    await writeFile(join(root, 'nginx-refuses'), '');
    await shell(step.act);
    await rm(join(root, 'nginx-refuses'));
    await succeed(step);
    expect(await current()).toBe('CN=two');
    await shell(discardPair(at('two')));
    expect(await current()).toBe('CN=one');
  });
});

describe('taking back', () => {
  test('gives the one before to nginx again', async () => {
    await succeed(installPair(at('one'), await issue('one')));
    await succeed(installPair(at('two'), await issue('two')));
    for (const _ of ['once', 'twice']) expect(await shell(discardPair(at('two')))).toMatchObject({ exit: 0 });
    expect(await current()).toBe('CN=one');
    expect((await calls()).filter((call) => call === 'systemctl show -P MainPID nginx')).toHaveLength(2);
    await expect.poll(calls).toContain('reload');
    expect(await readdir(join(state, 'tls', site, 'pairs'))).toEqual(['one']);
  });

  test('a first one leaves nothing', async () => {
    await succeed(installPair(at('one'), await issue('one')));
    expect(await shell(discardPair(at('one')))).toMatchObject({ exit: 0 });
    expect((await readdir(join(state, 'tls', site))).sort()).toEqual(['next', 'pairs']);
    expect(await calls()).toEqual([]);
  });

  test('one that nginx still needs is refused: it would not start again', async () => {
    await succeed(installPair(at('one'), await issue('one')));
    await writeFile(
      join(root, 'etc/nginx/chom.d', `${site}.conf`),
      `ssl_certificate ${pairPaths(site).chain.replace('/var/lib/chom', state)};`,
    );
    expect((await shell(discardPair(at('one')))).exit).toBe(EXIT.conflict);
    expect(await current()).toBe('CN=one');
  });

  test('what never was is no error', async () => {
    expect(await shell(discardPair(at('never')))).toMatchObject({ exit: 0 });
    await issue('other');
    await shell(discardPair(at('other')));
    expect(await readdir(join(state, 'tls', site, 'next'))).toEqual([]);
  });
});

test('challenges are served to everybody, exactly, and are gone afterwards', async () => {
  const files = [
    { token: 'one-_1', content: 'one.thumbprint' },
    { token: 'two', content: `it's $HOME` },
  ];
  const webroot = join(state, 'acme/.well-known/acme-challenge');
  await succeed(putChallenges(files));
  expect(await readFile(join(webroot, 'one-_1'), 'utf8')).toBe('one.thumbprint');
  expect(await readFile(join(webroot, 'two'), 'utf8')).toBe(`it's $HOME`);
  expect((await stat(join(webroot, 'two'))).mode & 0o777).toBe(0o644);
  await writeFile(join(webroot, 'of-another-operation'), '');
  await succeed(removeChallenges(files.map(({ token }) => token)));
  expect(await shell(removeChallenges(['one-_1']).act)).toMatchObject({ exit: 0 });
  expect(await readdir(webroot)).toEqual(['of-another-operation']);
});
