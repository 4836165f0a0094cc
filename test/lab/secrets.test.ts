import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../lab/command.js';
import { serveWordpress, type WordpressServer } from '../../lab/wordpress.js';
import * as credentials from '../../src/inventory/credentials.js';
import { startSshRepository } from './git-ssh.js';
import { rawHistories, readable, unsealed } from './histories.js';
import type { Document, Running } from './rig-command.js';
import { type Rig, startRig } from './rig.js';

let rig: Rig;
let wordpress: WordpressServer;
let password: string;
let recoveryKey: string;
let deployKey: string;
let deployKeyDirectory = '';
/** Everything that the command line has said. */
const said: string[] = [];
/** What process lists and units showed meanwhile, on this machine and on the host. */
const shown: string[] = [];

beforeAll(async () => {
  wordpress = await serveWordpress();
  const { url: CHOM_WORDPRESS_URL, sha256: CHOM_WORDPRESS_SHA256 } = wordpress;
  const environment = { CHOM_WORDPRESS_URL, CHOM_WORDPRESS_SHA256, CHOM_ALLOW_PRIVATE_GIT: 'true' };
  rig = await startRig({ hosts: [{ name: 'web1' }], acme: true, environment });
  const host = rig.lab.host('web1');
  await rig.startWorker();
  await rig.lab.acme.setAddress('secret.lab.test', { a: [host.address] });
  const login = ['--host', host.address, '--key', host.keyFile, '--host-key', host.hostKey];
  await watched(rig.chom.start('server', 'add', 'web1', ...login));
  // It too was shown, once.
  recoveryKey = /CHOM-RECOVERY-PRIVATE-\S+/.exec(said.join('\n'))?.[0] ?? '';
  const shows = said.findIndex((text) => text.includes(recoveryKey));
  said[shows] = said[shows]?.replace(recoveryKey, '') ?? '';
  await watched(rig.chom.start('site', 'create', 'secret.lab.test', '--server', 'web1', '--json'));
  await rig.lab.acme.setAddress('secret.lab.test', {});
  await watched(rig.chom.start('certificate', 'issue', 'secret.lab.test', '--json'));
  const blog = ['site', 'create', 'blog.lab.test', '--server', 'web1', '--type', 'wordpress', '--no-tls', '--json'];
  const made = JSON.parse(await watched(rig.chom.start(...blog, '--admin-email', 'admin@lab.test'))) as Document;
  password = made.admin?.password ?? '';
  // It was shown, once, to whoever asked for the site.
  said.splice(said.lastIndexOf(`${JSON.stringify(made)}\n`), 1);
  await watched(rig.chom.start('op', 'watch', made.operation ?? '', '--json'));
  const { url, privateKey } = await startSshRepository(host, 'git.lab.test');
  deployKey = privateKey;
  const keyFile = join(await mkdtemp(join(tmpdir(), 'chom-deploy-')), 'key');
  deployKeyDirectory = dirname(keyFile);
  await writeFile(keyFile, deployKey, { mode: 0o600 });
  const fetched = ['site', 'create', 'git.lab.test', '--server', 'web1', '--no-tls', '--from', `${url}#main`];
  await watched(rig.chom.start(...fetched, '--deploy-key', keyFile, '--json'));
  await watched(rig.chom.start('op', 'list', '--json'));
});
afterAll(async () => {
  await rig?.down();
  await wordpress?.close();
  await rm(deployKeyDirectory, { recursive: true, force: true });
});

/** Runs a command to its end, looking at all processes meanwhile again and again. */
async function watched(running: Running): Promise<string> {
  const units = `ps -eww -o args= e; systemctl show 'chom-*' --all; cat /run/systemd/transient/* 2>/dev/null; true`;
  const { process } = running;
  while (process.exitCode === null && process.signalCode === null) {
    shown.push(await run('ps', '-eww', '-o', 'args='), (await rig.lab.host('web1').exec(units)).stdout);
  }
  const { stdout, stderr } = await running.ended;
  said.push(stdout, stderr);
  return stdout;
}

/** Every secret that there is, as the texts that give it away: lines of keys, private numbers. */
async function secrets(): Promise<Record<string, string[]>> {
  const { inventory, keyring, home } = rig;
  const rows = await inventory.db.selectFrom('credentials').selectAll().execute();
  const held = rows.map((row) => [row.kind, tellTales(credentials.open(row, keyring).toString('latin1'))] as const);
  const file = JSON.parse(await readFile(join(home, 'keyring.json'), 'utf8')) as { keys: { key: string }[] };
  const host = rig.lab.host('web1');
  const { stdout } = await host.exec('find /var/lib/chom/tls -name key.pem -type f -exec cat {} +');
  const keys = await host.exec("grep -hoE '[A-Za-z0-9+/]{64}' /srv/chom/*/app/wp-config.php");
  return {
    ...Object.fromEntries(held),
    'admin-password': [password].filter(Boolean),
    'wordpress-keys': keys.stdout.split('\n').filter(Boolean),
    bootstrap: tellTales(host.privateKey),
    certificate: tellTales(stdout),
    'deploy-key': tellTales(deployKey),
    // Its first half, 32 bytes, is private; the second is public and lies in the keyring.
    'recovery-key': [recoveryKey.slice('CHOM-RECOVERY-PRIVATE-'.length).slice(0, 43)].filter(Boolean),
    keyring: file.keys.map(({ key }) => key),
  };
}

/** Whole lines of base64, of which keys are made; the armour around them, and what is public in them, is no secret. */
function tellTales(text: string): string[] {
  const numbers = [...text.matchAll(/"d":\s*"([^"]+)"/g)].map(([, number]) => number ?? '');
  const lines = text.split('\n').filter((line) => /^[A-Za-z0-9+/=]{40,}$/.test(line));
  // The first line of an OpenSSH key is format and public half.
  return [...numbers, ...(text.includes('OPENSSH') ? lines.slice(1) : lines)];
}

test('[SE-02] no secret is in any history, log, output, error, process list, or readable in the inventory', async () => {
  const found = await secrets();
  const kinds = [
    'acme-account',
    'admin-password',
    'bootstrap',
    'certificate',
    'deploy-key',
    'keyring',
    'recovery-key',
    'server-key',
    'wordpress-keys',
  ];
  expect(Object.keys(found).toSorted()).toEqual(kinds);
  expect(kinds.filter((kind) => found[kind]?.length === 0)).toEqual([]);

  const histories = await rawHistories(rig);
  const entries = await readdir(rig.home, { withFileTypes: true });
  const files = entries.flatMap((one) => (one.isFile() && one.name !== 'keyring.json' ? [one.name] : []));
  const read = files.map(async (name) => [name, await readFile(join(rig.home, name), 'latin1')] as const);
  const logs = `find /var/lib/chom/jobs /var/log -type f ! -path '*/journal/*' -exec cat {} +; journalctl -q; true`;
  const places: Record<string, string> = {
    'histories as they are kept': readable(histories),
    'histories when they are opened': unsealed(histories, rig),
    'what commands said': said.join('\n'),
    'process lists and units': shown.join('\n'),
    'records and logs of the host': (await rig.lab.host('web1').exec(logs)).stdout,
    ...Object.fromEntries(await Promise.all(read)),
  };
  expect(Object.keys(places)).toEqual(expect.arrayContaining(['worker.log', 'inventory.db', 'temporal.db']));
  // What was looked through is what it should be.
  expect(places['histories when they are opened']).toContain('secret.lab.test');
  expect(places['process lists and units']).toContain('/var/lib/chom/jobs');
  expect((await rig.fetch('git.lab.test', { address: rig.lab.host('web1').address, https: false })).body).toBe(
    'over ssh\n',
  );
  const leaks = Object.entries(places).flatMap(([place, text]) =>
    Object.entries(found).flatMap(([kind, parts]) =>
      parts.some((part) => text.includes(part)) ? [`${kind} in ${place}`] : [],
    ),
  );
  expect(leaks).toEqual([]);
});
