import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import * as credentials from '../../src/inventory/credentials.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as servers from '../../src/inventory/servers.js';
import { hostTree, sshConnections } from './host-tree.js';
import { type Rig, startRig } from './rig.js';

let rig: Rig;
beforeAll(async () => {
  const hosts = [{ name: 'bare', bare: true }, { name: 'old', debian: 12 }, { name: 'used' }] as const;
  rig = await startRig({ hosts });
  await rig.startWorker();
});
afterAll(async () => await rig?.down());

const login = (host: LabHost) => ['--host', host.address, '--key', host.keyFile];
const server = async (name: string, tenant = 'default') => await servers.byName(rig.inventory.db, tenant, name);

async function on(host: LabHost, script: string): Promise<string> {
  const { exit, stdout, stderr } = await host.exec(script);
  if (exit !== 0) throw new Error(`on ${host.name}: ${script}: exit ${exit}: ${stderr}`);
  return stdout.trim();
}

const logins = async (host: LabHost) =>
  await on(host, `journalctl --sync; journalctl -q -o cat | grep -c 'Accepted publickey' || true`);

describe('before it trusts a host', () => {
  test('it refuses to enrol where nobody can be asked about the host key, and has written nothing', async () => {
    const host = rig.lab.host('used');
    const before = await sshConnections(host);
    const { exit, stderr, json } = await rig.chom('server', 'add', 'used', ...login(host), '--json');
    expect(exit).toBe(2);
    expect(json?.error?.type).toBe('InvalidInput');
    expect(stderr).toContain('--host-key SHA256:');
    expect(await servers.list(rig.inventory.db)).toEqual([]);
    expect(await operations.list(rig.inventory.db)).toEqual([]);
    expect(await sshConnections(host)).toBe(before);
  });

  test('it ends at a host key that is not the one given, without having logged in', async () => {
    const host = rig.lab.host('used');
    const [before, loggedIn] = [await hostTree(host, { times: true }), await logins(host)];
    const wrong = `SHA256:${'A'.repeat(43)}`;
    const { exit, stderr, json } = await rig.chom(
      'server',
      'add',
      'used',
      ...login(host),
      '--host-key',
      wrong,
      '--json',
    );
    expect(exit).toBe(1);
    expect(json?.error).toMatchObject({ type: 'HostKeyMismatch' });
    for (const key of [wrong, host.hostKey]) expect(stderr).toContain(key);
    expect(await logins(host)).toBe(loggedIn);
    expect(await hostTree(host, { times: true })).toEqual(before);
    const { status, hostKey } = await server('used');
    expect({ status, hostKey }).toEqual({ status: 'failed', hostKey: null });
  });
});

describe.each([
  ['a bare Debian 13, of another tenant', 'bare', 'acme'],
  ['a Debian 12', 'old', 'default'],
] as const)('%s', (_, name, tenant) => {
  beforeAll(async () => {
    if (tenant !== 'default') await rig.chom.must('tenant', 'add', tenant);
  });

  test('is made ready for sites, with a key of its own', async () => {
    const host = rig.lab.host(name);
    const { json } = await rig.enrol(host, '--tenant', tenant);
    expect(json).toMatchObject({ status: 'succeeded', server: { name, status: 'active', os: 'debian' } });
    const { id, versions, hostKeyFingerprint, osVersion } = await server(name, tenant);
    expect(osVersion).toBe(name === 'old' ? '12' : '13');
    expect(versions.php).toEqual([name === 'old' ? '8.2' : '8.4']);
    expect(hostKeyFingerprint).toBe(host.hostKey);
    const [key, ...others] = await credentials.list(rig.inventory.db, id);
    expect(others).toEqual([]);
    expect(key).toMatchObject({ kind: 'server-key', state: 'current' });
    expect(await on(host, 'cat /root/.ssh/authorized_keys')).toContain(key?.public);
    expect(await on(host, 'nginx -v 2>&1; systemctl is-active nginx mariadb')).toMatch(/nginx\/.*\nactive\nactive$/s);
    // Whatever else waits on its behalf, as systemd does on Debian 12.
    expect(await on(host, `ss -Hltn 'sport = 3306' | awk '{ print $4 }'`)).toBe('127.0.0.1:3306');
    const emitted = await events.list(rig.inventory.db, { operation: json?.operation ?? '' });
    expect(emitted.map(({ type }) => type)).toEqual(['ServerEnrolled']);
    await rig.replayed(json?.operation ?? '');
  });

  test('changes in nothing when it is enrolled again', async () => {
    const host = rig.lab.host(name);
    const [before, known] = [await hostTree(host, { times: true }), await server(name, tenant)];
    await rig.enrol(host, '--tenant', tenant);
    expect(await hostTree(host, { times: true })).toEqual(before);
    expect({ ...(await server(name, tenant)), updatedAt: '' }).toEqual({ ...known, updatedAt: '' });
    expect((await credentials.list(rig.inventory.db, known.id)).map(({ kind }) => kind)).toEqual(['server-key']);
  });
});

describe('a server that serves others already', () => {
  const foreign = `printf 'server {\\n listen 80;\\n server_name foreign.example;\\n return 200 foreign;\\n}\\n' \\
  >/etc/nginx/sites-enabled/foreign
systemctl reload nginx
mariadb -e "create database foreign_shop; create table foreign_shop.orders (n int); insert into foreign_shop.orders values (7);
create user shop@localhost identified by 'shop'; grant all on foreign_shop.* to shop@localhost"`;

  test('keeps its site and its database, and is entered by a user who has sudo and a noisy shell', async () => {
    const host = rig.lab.host('used');
    await on(host, foreign);
    await on(
      host,
      `useradd -m -s /bin/bash admin && echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin
install -d -m 700 -o admin /home/admin/.ssh && install -m 600 -o admin /root/.ssh/authorized_keys /home/admin/.ssh/
printf 'echo hello from bashrc\\necho hello >&2\\n' >>/home/admin/.bashrc
sed -i '1i echo hello from the first line' /home/admin/.bashrc; cp /home/admin/.bashrc /home/admin/.bash_profile
echo 'Maintenance on Sunday' >/etc/motd; printf 'echo hello from the shell of root\\n' >>/root/.bashrc`,
    );
    const foreignSite = async () => await rig.fetch('foreign.example', { address: host.address, https: false });
    // A reload takes effect a little later.
    await expect.poll(async () => (await foreignSite()).body).toBe('foreign');
    // Somebody at a terminal compares the host key.
    const words = ['server', 'add', 'used', ...login(host), '--user', 'admin'];
    const before = await logins(host);
    const running = rig.chom.startOnTerminal(...words);
    await poll('it asks', 60_000, async () => running.said().stdout.includes('host key of used? [yes/no]'));
    expect(running.said().stdout).toContain(host.hostKey);
    expect(await logins(host)).toBe(before);
    running.process.stdin?.write('yes\r');
    expect((await running.ended).exit).toBe(0);
    const { json } = await rig.chom.must('server', 'show', 'used', '--json');
    expect(json).toMatchObject({ server: { status: 'active', user: 'admin' } });
    expect(await foreignSite()).toMatchObject({ status: 200, body: 'foreign' });
    const query = `mariadb -N -u shop -pshop -e 'select n from foreign_shop.orders'`;
    expect(await on(host, query)).toBe('7');
    expect(await on(host, 'grep -c . /home/admin/.ssh/authorized_keys')).toBe('2');
    expect(await on(host, 'grep -c . /root/.ssh/authorized_keys')).toBe('1');
  });

  test('and serves a site of CHOM beside it', async () => {
    const host = rig.lab.host('used');
    await rig.chom.must('site', 'create', 'beside.example', '--server', 'used', '--no-tls');
    const { address } = host;
    expect((await rig.fetch('beside.example', { address, https: false })).body).toContain('ready for its files');
    expect((await rig.fetch('foreign.example', { address, https: false })).body).toBe('foreign');
  });
});

describe('a host key that is another one than at the enrolment', () => {
  test('[SE-04] stops the operation before it logs in', async () => {
    const host = rig.lab.host('old');
    await on(
      host,
      `cp -a /etc/ssh /root/ssh-before; rm /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
systemctl restart ssh`,
    );
    // A connection that is open was proved when it was made; the next one meets the changed key.
    await rig.killWorker();
    await rig.startWorker();
    const [before, loggedIn] = [await hostTree(host, { times: true }), await logins(host)];
    const refused = await rig.chom('site', 'create', 'moved.example', '--server', 'old', '--no-tls', '--json');
    expect(refused.exit).toBe(1);
    expect(refused.json?.error).toMatchObject({ type: 'HostKeyMismatch' });
    expect(refused.stderr).toContain('old (');
    expect(await hostTree(host, { times: true })).toEqual(before);
    expect(await logins(host)).toBe(loggedIn);
    await on(host, 'rm -r /etc/ssh && mv /root/ssh-before /etc/ssh && systemctl restart ssh');
    await rig.chom.must('site', 'create', 'back.example', '--server', 'old', '--no-tls');
  });
});
