import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Request, submit } from '../../src/client/submit.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import { sitePlan } from '../../src/workflows/plans.js';
import { startGitServer } from './git-server.js';
import { hostTree } from './host-tree.js';
import { type Rig, startRig } from './rig.js';

const HOSTS = ['new', 'old'] as const;
const PHP = { new: '8.4', old: '8.2' } as const;

let rig: Rig;
let files: string;
beforeAll(async () => {
  files = await mkdtemp(join(tmpdir(), 'chom-files-'));
  await mkdir(join(files, 'static'));
  await writeFile(join(files, 'static', 'index.html'), '<p>from an archive</p>');
  await writeFile(join(files, 'static', 'über uns.html'), 'about');
  await promisify(execFile)('tar', ['-czf', join(files, 'site.tar.gz'), '-C', files, 'static']);
  await mkdir(join(files, 'app'));
  const page = '<?php echo "PHP " . PHP_VERSION . " as " . posix_getpwuid(posix_geteuid())["name"];';
  await writeFile(join(files, 'app', 'index.php'), page);
  const environment = { CHOM_ALLOW_PRIVATE_GIT: 'true' };
  rig = await startRig({ hosts: [{ name: 'new' }, { name: 'old', debian: 12 }], environment });
  await rig.startWorker();
  await Promise.all(rig.lab.hosts.map(async (host) => await rig.enrol(host)));
});
afterAll(async () => {
  await rig?.down();
  await rm(files, { recursive: true, force: true });
});

const emitted = async (operation = '') =>
  (await events.list(rig.inventory.db, { operation })).map(({ type, site }) => ({ type, site }));
const visit = async (domain: string, host: string, path = '/') =>
  await rig.fetch(domain, { address: rig.lab.host(host).address, https: false, path });

describe.each(HOSTS)('on %s', (name) => {
  test('[PS-03/static] serves a static site from an archive, under its aliases too', async () => {
    const domain = `static.${name}.example`;
    const words = ['--server', name, '--from', join(files, 'site.tar.gz'), '--alias', `www.${domain}`, '--no-tls'];
    const { json } = await rig.chom.must('site', 'create', domain, ...words, '--json');
    expect(json).toMatchObject({ status: 'succeeded', site: { domain, status: 'active' }, certificate: null });
    for (const each of [domain, `www.${domain}`]) {
      expect(await visit(each, name)).toMatchObject({ status: 200, body: '<p>from an archive</p>' });
    }
    expect((await visit(domain, name, `/${encodeURIComponent('über uns.html')}`)).body).toBe('about');
    expect((await visit(domain, name, '/missing')).status).toBe(404);
    await rig.replayed(json?.operation ?? '');
  });

  test('[PS-03/php] runs the PHP of a directory, as the own user of the site', async () => {
    const domain = `php.${name}.example`;
    const words = ['--server', name, '--type', 'php', '--from', join(files, 'app'), '--no-tls', '--json'];
    const { json } = await rig.chom.must('site', 'create', domain, ...words);
    const { status, body } = await visit(domain, name);
    expect(status).toBe(200);
    expect(body).toMatch(new RegExp(`^PHP ${PHP[name]}\\.\\d+ as ${json?.site?.id}$`));
    await rig.replayed(json?.operation ?? '');
  });

  test('[PS-07] [EV-01/SiteProvisioningFailed] undoes everything when a step fails: the host is as before', async () => {
    const host = rig.lab.host(name);
    const broken = '/etc/nginx/conf.d/broken.conf';
    await host.exec(`echo 'no such directive;' >${broken}`);
    const before = await hostTree(host);
    const domain = `broken.${name}.example`;
    const words = ['--server', name, '--type', 'php', '--from', join(files, 'app'), '--no-tls', '--json'];
    const { exit, json } = await rig.chom('site', 'create', domain, ...words);
    expect(exit).toBe(1);
    expect(json).toMatchObject({ status: 'failed', warnings: [] });
    expect(json?.error?.type).toBe('HostConfigurationBroken');
    expect(json?.error?.message).toContain(broken);
    expect(await hostTree(host)).toEqual(before);
    const site = await sites.byDomain(rig.inventory.db, domain);
    expect(site.status).toBe('failed');
    expect(await emitted(json?.operation)).toEqual([
      { type: 'SiteProvisioningFailed', site: site.id },
      { type: 'Alert', site: site.id },
    ]);
    expect((await visit(`static.${name}.example`, name)).status).toBe(200);
    await host.exec(`rm ${broken}`);
    await rig.chom.must('site', 'create', domain, ...words);
    await rig.replayed(json?.operation ?? '');
  });
});

test('[PS-01] [QC-03] [EV-01/SiteProvisioned] gives the id of the operation at once, or waits for its end', async () => {
  const create = (domain: string) => ['site', 'create', domain, '--server', 'new', '--no-tls', '--json'];
  const asked = await rig.chom(...create('detached.example'), '--detach');
  expect(asked.exit).toBe(0);
  expect(asked.json).toEqual({ operation: expect.stringMatching(/^provision-site-/) as string, status: 'running' });
  const watched = await rig.chom('op', 'watch', asked.json?.operation ?? '', '--json');
  expect(watched).toMatchObject({ exit: 0, json: { operation: asked.json?.operation, status: 'succeeded' } });
  const waited = await rig.chom(...create('waited.example'));
  expect(waited).toMatchObject({ exit: 0, json: { status: 'succeeded', site: { status: 'active' } } });
  for (const { json } of [watched, waited]) {
    const [{ id } = { id: '' }] = await sites
      .list(rig.inventory.db)
      .then((all) => all.filter(({ createdBy }) => createdBy === json?.operation));
    expect(await emitted(json?.operation)).toEqual([{ type: 'SiteProvisioned', site: id }]);
  }
});

test('[PS-05] asks for no certificate where TLS is off', async () => {
  const { json } = await rig.chom('site', 'create', 'plain.example', '--server', 'new', '--no-tls', '--json');
  expect(json).toMatchObject({ site: { status: 'active', tls: false }, certificate: null, warnings: [] });
  expect(await operations.list(rig.inventory.db, { kind: 'issue-certificate' })).toEqual([]);
  const { stdout } = await rig.lab
    .host('new')
    .exec('ls /var/lib/chom/tls /var/lib/chom/acme/.well-known/acme-challenge');
  expect(stdout).not.toMatch(/^s[a-z2-7]{9}$/m);
});

test('fetches a repository over https on the server itself', async () => {
  const host = rig.lab.host('new');
  const bridge = host.address.replace(/\d+$/, '1');
  const git = await startGitServer(bridge, 'git.lab.test');
  try {
    await git.commit('index.html', '<p>from git</p>');
    const { exit } = await host.exec(`echo '${bridge} git.lab.test' >>/etc/hosts
cat >/usr/local/share/ca-certificates/git.crt <<'PEM'
${git.certificate}PEM
update-ca-certificates`);
    expect(exit).toBe(0);
    const words = ['--server', 'new', '--from', `${git.url}#main`, '--no-tls'];
    await rig.chom.must('site', 'create', 'git.example', ...words);
    expect(await visit('git.example', 'new')).toMatchObject({ status: 200, body: '<p>from git</p>' });
    expect((await visit('git.example', 'new', '/.git/HEAD')).status).toBeGreaterThanOrEqual(403);
  } finally {
    await git.close();
  }
});

describe('what belongs to somebody else', () => {
  test('[FS-07/provision-site] a name that another site has is refused, and that site stays', async () => {
    const host = rig.lab.host('new');
    const before = await hostTree(host, { times: true });
    for (const taken of ['static.new.example', 'www.static.new.example']) {
      const { exit, json } = await rig.chom('site', 'create', taken, '--server', 'new', '--no-tls', '--json');
      expect(exit).toBe(1);
      expect(json?.error).toMatchObject({ type: 'Conflict', message: `${taken} is taken` });
      expect(json?.error?.next).toBe('chom site show static.new.example');
    }
    expect(await hostTree(host, { times: true })).toEqual(before);
  });

  test('[FS-07/provision-site] a name that a foreign site has fails the operation at once, and all is undone', async () => {
    const host = rig.lab.host('new');
    await host.exec(`printf 'server {\\n listen 80;\\n server_name foreign.example;\\n return 200 foreign;\\n}\\n' \\
>/etc/nginx/sites-enabled/foreign; systemctl reload nginx`);
    await expect.poll(async () => (await visit('foreign.example', 'new')).body, { timeout: 10_000 }).toBe('foreign');
    const before = await hostTree(host);
    const { exit, json } = await rig.chom('site', 'create', 'foreign.example', '--server', 'new', '--no-tls', '--json');
    expect(exit).toBe(1);
    expect(json).toMatchObject({ error: { type: 'Conflict' }, warnings: [] });
    expect(await hostTree(host)).toEqual(before);
    expect((await visit('foreign.example', 'new')).body).toBe('foreign');
  });

  test.each([
    ['user', (id: string) => `useradd -m ${id} && echo theirs >/home/${id}/file`],
    ['directory', (id: string) => `install -d /srv/chom/${id} && echo theirs >/srv/chom/${id}/file`],
  ])('[FS-07/provision-site] a foreign %s of the same name is left alone', async (what, make) => {
    const host = rig.lab.host('new');
    const { id: server } = await servers.byName(rig.inventory.db, 'default', 'new');
    const site = `sforeign${what.slice(0, 2)}`;
    expect((await host.exec(make(site))).exit).toBe(0);
    const before = await hostTree(host, { times: true });
    const operation = await submit(rig, request(site, server));
    const { exit, json } = await rig.chom('op', 'watch', operation, '--json');
    expect(exit).toBe(1);
    expect(json?.error).toMatchObject({ type: 'Conflict' });
    expect(json?.warnings).toEqual([]);
    expect(await hostTree(host, { times: true })).toEqual(before);
  });
});

test('[PS-08] a site whose server is not there ends early, and nothing is tried twice', async () => {
  const unknown = await rig.chom('site', 'create', 'lost.example', '--server', 'nowhere', '--no-tls', '--json');
  expect(unknown).toMatchObject({ exit: 5, json: { error: { type: 'NotFound', next: 'chom server list' } } });
  // As for a server that is removed between the asking and the doing.
  const operation = await submit(rig, request('slostsite2', 'srv-gone'));
  const { exit, json } = await rig.chom('op', 'watch', operation, '--json');
  expect(exit).toBe(1);
  expect(json?.error).toMatchObject({ type: 'NotFound', message: 'There is no server srv-gone' });
  const row = await operations.byId(rig.inventory.db, operation);
  expect(row.steps).toMatchObject([{ label: 'Check the request', state: 'failed', attempt: 1 }]);
});

function request(site: string, server: string): Request {
  const domain = `${site}.example`;
  const plan = sitePlan.parse({
    ...{
      site,
      server,
      domain,
      tenant: 'default',
      serverName: 'new',
      aliases: [],
      type: 'static',
      php: null,
      tls: false,
    },
    source: { kind: 'placeholder' },
  });
  const { tenant, serverName } = plan;
  return { kind: 'provision-site', input: plan, summary: 'A site', tenant, server, serverName, site, domain };
}
