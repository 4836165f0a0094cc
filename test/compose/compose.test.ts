import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../lab/command.js';
import { composeProgram } from '../../lab/compose-program.js';
import { type Lab, startLab } from '../../lab/index.js';
import { cacheDirectory, lock } from '../../src/client/programs/cache.js';
import { visit } from '../lab/rig-visit.js';
import { type Docker, startDocker } from './docker.js';
import { makeImages } from './images.js';

let lab: Lab;
let daemon: Docker;
let directory: string;
let program: string;
const undo: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  // One daemon has the directory of the images at a time.
  undo.push(await lock(join(cacheDirectory(), 'docker.lock')));
  program = await composeProgram();
  await makeImages();
  lab = await startLab({ hosts: [{ name: 'web1' }] });
  undo.push(lab.down);
  daemon = await startDocker('own');
  undo.push(daemon.stop);
  await connect(lab.host('web1').address);
  directory = await mkdtemp(join(tmpdir(), 'chom-compose-'));
  undo.push(async () => await rm(directory, { recursive: true }));
  await cp(fileURLToPath(new URL('../../packaging/compose', import.meta.url)), directory, { recursive: true });
  undo.push(async () => await compose('down', '--volumes', '--timeout', '60'));
  await run(join(directory, 'secrets.sh'));
  // What a killed run has left has other passwords.
  await compose('down', '--volumes', '--timeout', '0');
}, 3_600_000);
afterAll(async () => {
  for (const end of undo.toReversed())
    await end().catch((error: unknown) => process.stderr.write(`${String(error)}\n`));
}, 600_000);

/** A cable between the containers' network namespace and the lab, whose hosts are the servers that there are. */
async function connect(address: string): Promise<void> {
  const bridge = / dev (\S+)/.exec(await run('ip', '-o', 'route', 'get', address))?.[1] ?? '';
  const [inside, cable] = [`${daemon.pid}`, `chom-d${daemon.pid}`];
  await run('ip', 'link', 'add', cable, 'type', 'veth', 'peer', 'name', 'lab0', 'netns', inside);
  await run('ip', 'link', 'set', cable, 'master', bridge, 'up');
  await within('ip', 'address', 'add', address.replace(/\d+$/, '250/24'), 'dev', 'lab0');
  await within('ip', 'link', 'set', 'lab0', 'up');
}

/** Runs a program where the ports are published. */
async function within(...words: string[]): Promise<string> {
  return await run('nsenter', `--net=/proc/${daemon.pid}/ns/net`, ...words);
}

async function compose(...words: string[]): Promise<string> {
  const files = ['docker-compose.yml', 'docker-compose.local.yml'].flatMap((name) => ['--file', join(directory, name)]);
  return await run('env', `DOCKER_HOST=${daemon.host}`, program, '--progress', 'quiet', ...files, ...words);
}

/** `chom` in one of the two workers. */
async function chom(worker: 1 | 2, ...words: string[]): Promise<string> {
  return await compose('exec', '-T', '--index', `${worker}`, 'worker', 'chom', ...words);
}

/** Those of a service that are up, by their states. */
async function containers(): Promise<string[]> {
  const format = '{{.Label "com.docker.compose.service"}} {{.Status}}';
  return (await daemon.docker('ps', '--format', format)).trim().split('\n').toSorted();
}

const up = async () => await compose('up', '--detach', '--wait', '--wait-timeout', '600');

test('the compose file comes up whole: PostgreSQL, Temporal, its UI, the codec server and two workers, all of them well', async () => {
  await up();
  const found = (await containers()).map((line) => line.replace(/Up .*?(\(|$)/, '$1').trim());
  const well = ['codec', 'postgresql', 'temporal', 'worker', 'worker'].map((service) => `${service} (healthy)`);
  // The UI's image has nothing to ask it with.
  expect(found).toEqual([...well, 'ui'].toSorted());
  const settings = JSON.parse(await within('curl', '-s', 'http://127.0.0.1:8080/api/v1/settings')) as {
    Codec: { Endpoint: string };
  };
  expect(settings.Codec.Endpoint).toBe('http://localhost:8234');
  const namespace = 'http://127.0.0.1:8080/api/v1/namespaces/default';
  expect(JSON.parse(await within('curl', '-s', namespace))).toMatchObject({
    config: { workflowExecutionRetentionTtl: '2592000s' },
  });
  const decode = ['curl', '-s', '-d', '{"payloads":[]}', 'http://127.0.0.1:8234/decode'];
  expect(await within(...decode, '-H', 'Origin: http://localhost:8080')).toBe('{"payloads":[]}');
  const token = await run('cat', join(directory, 'secrets/codec-token'));
  expect(await within(...decode, '-H', `Authorization: Bearer ${token}`)).toBe('{"payloads":[]}');
  // Neither a program without the token nor another page.
  const status = ['-o', '/dev/null', '-w', '%{http_code}'];
  expect(await within(...decode, ...status, '-H', `Authorization: Bearer ${token.slice(1)}`)).toBe('401');
  expect(await within(...decode, ...status)).toBe('401');
  expect(await within(...decode, ...status, '-H', 'Origin: http://localhost:8081')).toBe('403');
  const { checks } = JSON.parse(await chom(1, 'doctor', '--json')) as { checks: { name: string; state: string }[] };
  expect(checks.filter(({ state }) => state === 'wrong')).toEqual([]);
  // No environment shows a secret.
  const shown = await daemon.docker('inspect', ...(await daemon.docker('ps', '--quiet')).trim().split('\n'));
  const password = await run('cat', join(directory, 'secrets/chom-password'));
  for (const secret of [password, token]) {
    expect(secret).toMatch(/^[0-9a-f]{48}$/);
    expect(shown).not.toContain(secret);
  }
});

test('operations run through, and lose nothing when a worker is stopped and the other one is killed', async () => {
  const { address, privateKey, hostKey } = lab.host('web1');
  await give(privateKey, '/tmp/web1.key');
  const words = ['--host', address, '--key', '/tmp/web1.key', '--host-key', hostKey];
  await chom(1, 'server', 'add', 'web1', ...words);
  await chom(1, 'site', 'create', 'one.example', '--server', 'web1', '--no-tls');
  expect((await visit('one.example', { address })).status).toBe(200);

  const [first, second] = await workers();
  const stopped = await ask('two.example');
  await daemon.docker('stop', first);
  expect(await daemon.docker('inspect', '--format', '{{.State.ExitCode}} {{.State.OOMKilled}}', first)).toBe(
    '0 false\n',
  );
  await chom(2, 'op', 'watch', stopped);
  expect((await visit('two.example', { address })).status).toBe(200);

  await up();
  const killed = await ask('three.example');
  await daemon.docker('kill', second);
  await chom(1, 'op', 'watch', killed);
  expect((await visit('three.example', { address })).status).toBe(200);
});

test('all of it stopped and started again knows what it knew', async () => {
  await compose('down', '--timeout', '60');
  expect(await daemon.docker('ps', '--all', '--quiet')).toBe('');
  await up();
  const { sites } = JSON.parse(await chom(1, 'site', 'list', '--json')) as { sites: { domain: string }[] };
  expect(sites.map(({ domain }) => domain).toSorted()).toEqual(['one.example', 'three.example', 'two.example']);
  await chom(2, 'site', 'suspend', 'one.example');
});

/** Asks for a site and does not wait for it; the id of the operation. */
async function ask(domain: string): Promise<string> {
  const asked = ['site', 'create', domain, '--server', 'web1', '--type', 'php', '--database', '--no-tls', '--detach'];
  const { operation } = JSON.parse(await chom(2, ...asked, '--json')) as { operation: string };
  return operation;
}

/** Names of the containers of the first and the second worker. */
async function workers(): Promise<[string, string]> {
  const names = (await compose('ps', '--format', '{{.Name}}', 'worker')).trim().split('\n').toSorted();
  const [first = '', second = ''] = names;
  return [first, second];
}

/** Puts a text into a file of the first worker. */
async function give(text: string, path: string): Promise<void> {
  const [first] = await workers();
  const script = `umask 077 && cat >${path}`;
  await new Promise<void>((resolve, reject) => {
    const child = execFile('docker', ['--host', daemon.host, 'exec', '-i', first, 'sh', '-c', script], (error) =>
      error ? reject(error) : resolve(),
    );
    child.stdin?.end(text);
  });
}
