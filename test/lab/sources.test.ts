import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type Lab, type LabHost, startLab } from '../../lab/index.js';
import { probeActivities } from '../../src/activities/probe.js';
import { siteActivities } from '../../src/activities/site.js';
import { newOperationId, submit } from '../../src/client/submit.js';
import type { Config } from '../../src/config.js';
import { createHosts, type Hosts } from '../../src/host/pool.js';
import { sh } from '../../src/host/shell.js';
import * as credentials from '../../src/inventory/credentials.js';
import * as events from '../../src/inventory/events.js';
import { serverLogin } from '../../src/inventory/logins.js';
import * as operations from '../../src/inventory/operations.js';
import * as secrets from '../../src/inventory/secrets.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import * as uploads from '../../src/inventory/uploads.js';
import { DEPLOY_KEY, type SitePlan, type Source } from '../../src/workflows/plans.js';
import { sitePlan } from '../inventory/records.js';
import { startEnvironment, type WorkflowEnvironment } from '../workflows/environment.js';
import { waitsOf } from '../workflows/timers.js';
import { startGitServer } from './git-server.js';
import { startSshRepository } from './git-ssh.js';
import { ask, ready, run, snapshot } from './on-host.js';

const GIT_HOST = 'git.example.test';
const SSH_HOST = 'ssh.example.test';
let lab: Lab;
let host: LabHost;
let chom: WorkflowEnvironment;
let hosts: Hosts;

beforeAll(async () => {
  // One after the other: a server that starts while hosts boot may be given up.
  lab = await startLab({ hosts: [{ name: 'web1' }] });
  chom = await startEnvironment(inject('workflowBundle'));
  host = lab.host('web1');
  await ready(host);
  const { inventory, keyring } = chom;
  hosts = createHosts({ resolve: async (id) => await serverLogin(inventory.db, keyring, id), log: chom.deps.log });
  const { address, sshPort: port, user, hostKey, privateKey } = host;
  const key = { id: 'key', server: 'web1', kind: 'server-key', public: null, state: 'current' } as const;
  await inventory.transaction(async (trx) => {
    await servers.add(trx, { id: 'web1', tenant: 'default', name: 'web1', address, port, user });
    await servers.pinHostKey(trx, 'web1', { hostKey, fingerprint: hostKey });
    await credentials.put(trx, keyring, { ...key, secret: Buffer.from(privateKey) });
    await servers.setStatus(trx, 'web1', 'active');
  });
});

afterAll(async () => {
  await hosts?.close();
  await chom?.close();
  await lab?.down();
});

function plan(source: Source = { kind: 'placeholder' }): SitePlan {
  const site = `s${Array.from({ length: 9 }, () => 'abcdefghijklmnopqrstuvwxyz234567'[randomInt(32)]).join('')}`;
  return sitePlan(site, `${site}.example.org`, { source });
}

/** Runs the product's operation to its end; returns its row. */
async function provision(site: SitePlan, settings: Partial<Config> = {}, operation = newOperationId('provision-site')) {
  const deps = { ...chom.deps, hosts, config: { ...chom.config, ...settings } };
  const { tenant, server, serverName, domain } = site;
  const request = { kind: 'provision-site' as const, input: site, summary: 'provision', tenant, server, serverName };
  await chom.withWorker({ ...siteActivities(deps), ...probeActivities(deps) }, async () => {
    await submit(chom, { ...request, site: site.site, domain }, operation);
    await chom.temporal.workflow
      .getHandle(operation)
      .result()
      .catch(() => undefined);
  });
  await chom.replayed(operation);
  return await operations.byId(chom.inventory.db, operation);
}

async function page({ domain }: SitePlan, path = '/'): Promise<string> {
  const to = `${domain}:80:${host.address}`;
  return await ask(host, sh`curl -s -w ' %{http_code}' --resolve ${to} ${`http://${domain}${path}`}`);
}

async function eventTypes(operation: string): Promise<string[]> {
  return (await events.list(chom.inventory.db, { operation })).map(({ type }) => type);
}

/** Provisions a site from what a shell line prints that runs in an empty directory. */
async function provisionPrinted(line: string) {
  const script = `d=$(mktemp -d) && cd "$d" && { ${line}; } && cd / && rm -rf "$d"`;
  const { stdout } = await promisify(execFile)('sh', ['-c', script], { encoding: 'buffer', maxBuffer: 1e9 });
  const pieces = async function* () {
    yield stdout;
  };
  const id = newOperationId('provision-site');
  const { sha256, bytes } = await uploads.put(chom, id, pieces(), { limitBytes: 1e9 });
  const site = plan({ kind: 'upload', sha256, bytes });
  return { site, operation: await provision(site, {}, id) };
}

describe('an archive', () => {
  test('is unpacked without the one directory that holds it all, and not kept', async () => {
    const before = await ask(host, sh`ls -A /var/lib/chom/staging /var/lib/chom/tmp`);
    const line = 'mkdir -p site/img; echo hello >site/index.html; echo x >site/img/a.txt; tar -cz site';
    const { site, operation } = await provisionPrinted(line);
    expect(operation).toMatchObject({ outcome: 'succeeded', warnings: [], reason: null });
    expect(await page(site)).toBe('hello\n 200');
    expect(await page(site, '/img/a.txt')).toBe('x\n 200');
    expect(await ask(host, sh`ls -A /var/lib/chom/staging /var/lib/chom/tmp`)).toBe(before);
  });

  test('becomes the site’s own, readable for nginx, whatever it says about owners and modes', async () => {
    const line =
      'echo a >a; chmod 4777 a; mkdir d; echo b >d/b; chmod 600 d/b; chmod 0 d; tar -c --owner=0 --group=0 a d 2>/dev/null; chmod 700 d';
    const { site, operation } = await provisionPrinted(line);
    expect(operation).toMatchObject({ outcome: 'succeeded' });
    const app = `/srv/chom/${site.site}/app`;
    expect(await ask(host, sh`cd ${app} && stat -c '%n %a %U %G' a d d/b`)).toBe(
      `a 750 ${site.site} www-data\nd 2750 ${site.site} www-data\nd/b 640 ${site.site} www-data\n`,
    );
  });

  test.each([
    ['is none', 'head -c 5000 /dev/urandom'],
    ['is damaged', 'head -c 200000 /dev/urandom >a; tar -cz a | head -c 100000'],
    ['leads out', 'mkdir x; echo x >evil; cd x; tar -cP ../evil'],
    ['holds an absolute path', 'echo x >f; tar -cP --transform s,^,/etc/, f'],
    ['holds a device', 'mknod null c 1 3; tar -c null'],
  ])('that %s is refused at once, and the server is as it was', async (_what, line) => {
    const before = await snapshot(host);
    const { site, operation } = await provisionPrinted(line);
    expect(operation).toMatchObject({ outcome: 'failed', failureType: 'SourceRejected', warnings: [] });
    expect(operation.steps.at(-1)).toMatchObject({ attempt: 1 });
    expect(await eventTypes(operation.id)).toEqual(['SiteProvisioningFailed', 'Alert']);
    expect(await sites.byId(chom.inventory.db, site.site)).toMatchObject({ status: 'failed' });
    expect(await snapshot(host)).toBe(before);
  });

  test('writes nothing outside the site through its own links', async () => {
    const line =
      'ln -s /tmp out; tar -cf a out; rm out; mkdir out; echo x >out/chom-escaped; tar -rf a out/chom-escaped; cat a';
    await provisionPrinted(line);
    expect((await run(host, sh`ls /tmp/chom-escaped /tmp/systemd-private-*/tmp/chom-escaped`)).exit).not.toBe(0);
  });

  test('[FS-08] that meets a full disk is tried three times, then everything is taken back', async () => {
    const before = await snapshot(host);
    await host.fill();
    // Enough for the records of jobs and the user, not for the files.
    await ask(host, sh`truncate -s -16M /chom-lab-filler`);
    const line = 'head -c 30000000 /dev/urandom >big; tar -c big';
    try {
      const { operation } = await provisionPrinted(line);
      expect(operation).toMatchObject({ outcome: 'failed', failureType: 'DiskFull', warnings: [] });
      expect(JSON.stringify(operation.steps)).toContain('"attempt":3');
      expect(waitsOf(await chom.replayed(operation.id), 180)).toEqual([60, 60]);
    } finally {
      await host.unfill();
    }
    expect(await snapshot(host)).toBe(before);
  });
});

describe('a repository', () => {
  test('is fetched as the site’s user, by branch or commit, from public addresses unless others are allowed', async () => {
    const bridge = host.address.replace(/\d+$/, '1');
    const git = await startGitServer(bridge, GIT_HOST);
    try {
      const first = await git.commit('index.html', 'first\n');
      await git.commit('index.html', 'second\n');
      await ask(
        host,
        sh`printf %s ${git.certificate} >/usr/local/share/ca-certificates/git.crt && update-ca-certificates 2>/dev/null
echo ${`${bridge} ${GIT_HOST}`} >>/etc/hosts`,
      );
      const from = (ref: string | null): SitePlan => plan({ kind: 'git', url: git.url, ref });
      const refused = await provision(from(null));
      expect(refused).toMatchObject({ outcome: 'failed', failureType: 'SourceRejected' });
      expect(refused.reason).toContain('not a public address');
      for (const [ref, text] of [
        ['main', 'second'],
        [first, 'first'],
      ] as const) {
        const site = from(ref);
        expect(await provision(site, { allowPrivateGit: true })).toMatchObject({ outcome: 'succeeded', reason: null });
        expect(await page(site)).toBe(`${text}\n 200`);
        expect(await ask(host, sh`ls -A ${`/srv/chom/${site.site}/app`}`)).toBe('index.html\n');
      }
      const missing = await provision(from('no-such-branch'), { allowPrivateGit: true });
      expect(missing).toMatchObject({ outcome: 'failed', failureType: 'SourceRejected' });
      expect(missing.reason).toContain('no branch or tag no-such-branch');
    } finally {
      await git.close();
    }
  });

  test('is fetched over ssh with a deploy key, which is on no disk and in no argument, and gone afterwards', async () => {
    const made = await startSshRepository(host, SSH_HOST);
    const wanted = plan({ kind: 'git', url: made.url, ref: 'main' });
    const refused = await provision(wanted, { allowPrivateGit: true });
    expect(refused).toMatchObject({ outcome: 'failed', failureType: 'SourceUnavailable' });

    const operation = newOperationId('provision-site');
    const secret = { operation, name: DEPLOY_KEY };
    const { inventory, keyring } = chom;
    await inventory.transaction((trx) => secrets.put(trx, keyring, secret, Buffer.from(made.privateKey)));
    const site = plan({ kind: 'git', url: made.url, ref: 'main' });
    expect(await provision(site, { allowPrivateGit: true }, operation)).toMatchObject({ outcome: 'succeeded' });
    expect(await page(site)).toBe('over ssh\n 200');
    expect(await secrets.find(inventory.db, keyring, secret)).toBeNull();
    const [, second = ''] = made.privateKey.split('\n');
    const left = sh`grep -rslF ${second} /srv /tmp /var/tmp /var/lib/chom /run /etc/systemd; pgrep ssh-agent; true`;
    expect(await ask(host, left)).toBe('');
    // Looked up, then fetched.
    expect(await ask(host, sh`cat ${made.log}`)).toBe("git-upload-pack '/srv/git/site.git'\n".repeat(2));
  });
});

test('[FS-06] [PS-02] [PS-10] a server that cannot be reached gets three attempts, 60 seconds apart', async () => {
  await hosts.close();
  await host.cut();
  try {
    const site = plan();
    const operation = await provision(site);
    expect(operation).toMatchObject({ outcome: 'failed', failureType: 'Unreachable' });
    const history = await chom.replayed(operation.id);
    const timers = (history.events ?? []).flatMap((event) => event.timerStartedEventAttributes ?? []);
    expect(timers.filter((timer) => Number(timer.startToFireTimeout?.seconds) === 60)).toHaveLength(2);
    expect(await eventTypes(operation.id)).toEqual(expect.arrayContaining(['SiteProvisioningFailed', 'Alert']));
    expect(await sites.byId(chom.inventory.db, site.site)).toMatchObject({ status: 'failed' });
  } finally {
    await host.mend();
  }
});
