import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost, LabStore } from '../../lab/index.js';
import { openFromRecovery } from '../../src/inventory/recovery.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as servers from '../../src/inventory/servers.js';
import * as storages from '../../src/inventory/storages.js';
import type { Finding } from '../../src/workflows/inspection.js';
import { prepareRepository } from './repository-step.js';
import { type Rig, startRig } from './rig.js';

let rig: Rig;
let web1: LabHost;
let store: LabStore;
/** Shown once, when the first server was added. */
let recoveryKey = '';
beforeAll(async () => {
  rig = await startRig({
    hosts: [{ name: 'web1' }, { name: 'old', debian: 12 }, { name: 'store1', store: true, s3: true }],
  });
  web1 = rig.lab.host('web1');
  store = rig.lab.store;
  await rig.startWorker();
  const { stderr } = await rig.enrol(web1);
  recoveryKey = /CHOM-RECOVERY-PRIVATE-\S+/.exec(stderr)?.[0] ?? '';
  await rig.enrol(store.host);
});
afterAll(async () => await rig?.down());

async function on(host: LabHost, script: string): Promise<string> {
  const { exit, stdout, stderr } = await host.exec(script);
  if (exit !== 0) throw new Error(`on ${host.name}: ${script}: exit ${exit}: ${stderr}`);
  return stdout.trim();
}

const wrongOf = (json: Record<string, unknown> | undefined) =>
  ((json?.['checks'] ?? []) as Finding[]).filter(({ state }) => state === 'wrong');
const storage = async (name: string) => await storages.byName(rig.inventory.db, 'default', name);
const siteId = async (domain: string) => (await rig.chom.must('site', 'show', domain, '--json')).json?.site?.id ?? '';

describe('restic', () => {
  test('is the distribution’s where that will do, and a pinned one beside it where it is too old', async () => {
    const used = '/usr/local/lib/chom/restic';
    expect(await on(web1, `readlink ${used}; ${used} version`)).toMatch(/^\/usr\/bin\/restic\nrestic 0\.18/);
    const old = rig.lab.host('old');
    expect(await on(old, 'restic version')).toMatch(/^restic 0\.14/);
    await rig.enrol(old);
    expect(await on(old, `readlink ${used}; ${used} version`)).toMatch(
      /^\/usr\/local\/lib\/chom\/restic-.*\nrestic 0\.18/,
    );
    expect(await on(old, 'restic version')).toMatch(/^restic 0\.14/);
    const { versions } = await servers.byName(rig.inventory.db, 'default', 'old');
    expect(versions.restic).toMatch(/^0\.18/);
  });

  test('that is gone or too old is found by the doctor, and comes back by its command', async () => {
    const old = rig.lab.host('old');
    for (const spoil of ['rm -r', 'ln -sfn /usr/bin/restic']) {
      await on(old, `${spoil} /usr/local/lib/chom/restic`);
      const { json, exit } = await rig.chom('server', 'doctor', 'old', '--json');
      expect({ exit, wrong: wrongOf(json) }).toMatchObject({
        exit: 1,
        wrong: [{ name: 'restic', next: 'chom server add old' }],
      });
      await rig.chom.must('server', 'add', 'old');
      expect((await rig.chom('server', 'doctor', 'old', '--json')).exit).toBe(0);
    }
  });
});

describe('an SFTP storage', () => {
  const add = (...words: string[]) => rig.chom('storage', 'add', 'box', '--repository', store.sftp, ...words, '--json');

  test('is not trusted before its host key is', async () => {
    const unasked = await add();
    expect({ exit: unasked.exit, type: unasked.json?.error?.type }).toEqual({ exit: 2, type: 'InvalidInput' });
    const other = await add('--host-key', `SHA256:${'A'.repeat(43)}`);
    expect({ exit: other.exit, type: other.json?.error?.type }).toEqual({ exit: 1, type: 'HostKeyMismatch' });
    expect(await storages.list(rig.inventory.db)).toEqual([]);
  });

  test('is reached by a key of CHOM’s own, and says why it is not as long as nobody lets that in', async () => {
    const { stderr, json } = await add('--host-key', store.host.hostKey);
    expect(json).toMatchObject({ storage: { name: 'box', kind: 'sftp', logins: 'shared', access: null } });
    const [key = ''] = /ssh-ed25519 \S+ \S+/.exec(stderr) ?? [];
    expect(key).toMatch(/^ssh-ed25519 AAAA/);
    const refused = await rig.chom('storage', 'check', 'box', '--from', 'web1', '--json');
    expect(refused.json?.error).toMatchObject({ type: 'StorageRefused' });
    await store.authorize(key);
  });

  test('is found to be deletable, and says that all sites share one login', async () => {
    const { json } = await rig.chom.must('storage', 'check', 'box', '--from', 'web1', '--json');
    expect(json).toMatchObject({
      ok: true,
      storage: { access: 'deletable' },
      checks: [{}, {}, {}, { name: 'repositories', state: 'unknown' }],
    });
    await rig.replayed(json?.operation ?? '');
    const { stdout } = await rig.chom.must('storage', 'list');
    expect(stdout).toMatch(/^box +shared login +deletable /m);
    expect(await on(store.host, `ls ${store.sftpPath}`)).toBe('recovery\ntrial');
    expect(await on(store.host, `ls ${store.sftpPath}/trial/snapshots ${store.sftpPath}/trial/locks`)).toMatch(
      /^\S+snapshots:$|^\S+locks:\n\n\S+snapshots:$/,
    );
  });

  test('takes the repository of a site, and holds its password sealed', async () => {
    await rig.chom.must('site', 'create', 'one.lab.test', '--server', 'web1', '--no-tls');
    const site = await siteId('one.lab.test');
    const { id } = await storage('box');
    const server = (await servers.byName(rig.inventory.db, 'default', 'web1')).id;
    const made = await prepareRepository(rig, { tenant: 'default', server, site, storage: id }, 'one');
    const sealed = await on(store.host, `cat ${store.sftpPath}/recovery/${site}`);
    const opened = JSON.parse(openFromRecovery(recoveryKey, sealed).toString()) as { password: string };
    const repository = await repositories.byId(rig.inventory.db, made);
    expect(opened.password).toBe(repositories.passwordOf(repository, rig.keyring).toString());
    expect(opened.password).toMatch(/^[\w-]{43}$/);
  });
});

test('an SFTP storage whose files an enrolled server keeps is looked through there, by their owner', async () => {
  const file = join(rig.home, 'own-key');
  await promisify(execFile)('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
  await store.authorize((await readFile(`${file}.pub`, 'utf8')).trim());
  await on(store.host, `install -d -o store -g store ${store.sftpPath}/kept`);
  const at = ['--repository', `${store.sftp}/kept`, '--maintain', `store1:${store.sftpPath}/kept`];
  await rig.chom.must('storage', 'add', 'kept', ...at, '--key', file, '--host-key', store.host.hostKey);
  const { json } = await rig.chom.must('storage', 'check', 'kept', '--json');
  expect(json).toMatchObject({ ok: true, storage: { access: 'deletable' }, checks: [{}, {}, {}, { name: 'trial' }] });
  expect(await on(store.host, `find ${store.sftpPath}/kept ! -user store`)).toBe('');
});

describe('an SFTP storage on an enrolled server, without a user in its address', () => {
  const path = '/srv/backups';
  /** Runs sftp on web1 as the user of a repository; what it says, and its exit status. */
  const sftp = async (of: string | null, batch: string) => {
    const { id, hostKey } = await storage('own');
    const repository = await repositories.byId(rig.inventory.db, repositories.repositoryId(id, of));
    const login = repositories.loginOf(repository, await storage('own'), rig.keyring);
    if (login?.kind !== 'sftp') throw new Error('it has no SSH key');
    await on(web1, `umask 077; cat >/root/own-key <<'END'\n${login.privateKey}END`);
    await on(web1, `echo '${store.host.address} ${hostKey}' >/root/own-hosts`);
    const { username } = new URL(repository.url);
    const options = '-i /root/own-key -o IdentitiesOnly=yes -o UserKnownHostsFile=/root/own-hosts -o BatchMode=yes';
    const to = `${username}@${store.host.address}`;
    const { exit, stdout, stderr } = await web1.exec(`echo '${batch}' | sftp ${options} -b - ${to} 2>&1`);
    const shell = await web1.exec(`ssh ${options} ${to} id 2>&1`);
    return { exit, said: stdout + stderr, shell: shell.stdout };
  };

  test('makes a user for each repository, whose directory it must be able to confine him to', async () => {
    await on(store.host, `install -d -o store ${path}`);
    const at = ['--repository', `sftp:${store.host.address}`, '--maintain', `store1:${path}`];
    const { json } = await rig.chom.must('storage', 'add', 'own', ...at, '--json');
    expect(json).toMatchObject({ storage: { logins: 'per-site', loginPublic: null, hostKey: store.host.hostKey } });
    const refused = await rig.chom('storage', 'check', 'own', '--json');
    expect(refused.json?.error).toMatchObject({
      type: 'Conflict',
      message: expect.stringContaining(`${path} is not root`),
    });
    await on(store.host, `chown root ${path}`);
    const checked = await rig.chom.must('storage', 'check', 'own', '--json');
    const access = { access: 'deletable', logins: 'per-site' };
    expect(checked.json).toMatchObject({
      ok: true,
      storage: access,
      checks: [{}, {}, {}, { name: 'trial', state: 'ok' }],
    });
    expect((await rig.chom.must('storage', 'list')).stdout).toMatch(/^own +one per site +deletable /m);
  });

  test('lets a site’s key reach its own repository and nothing else', async () => {
    await rig.chom.must('backup', 'create', 'one.lab.test', '--storage', 'own');
    const [site, { id }] = [await siteId('one.lab.test'), await storage('own')];
    const own = await sftp(site, `ls /${site}/snapshots`);
    expect(own.exit).toBe(0);
    // Of a static site: its files, and the manifest.
    expect(own.said.match(/[0-9a-f]{64}/g)).toHaveLength(2);
    expect(own.shell).toContain('This service allows sftp connections only');
    for (const batch of [
      'ls /trial',
      'get /trial/config /root/stolen',
      'rename /trial/config /trial/x',
      'rm /trial/config',
      'ls /recovery',
      `get /recovery/${site} /root/stolen`,
      'ls /',
      'mkdir /mine',
      'ls /etc',
      'put /etc/hostname /mine',
    ]) {
      const { exit, said } = await sftp(site, batch);
      expect({ batch, exit, refused: /ermission denied|not found|No such file/.test(said) }).toEqual({
        batch,
        exit: 1,
        refused: true,
      });
    }
    expect(await on(store.host, `stat -c '%U %a' ${path} ${path}/${site} ${path}/recovery/${site}`)).toBe(
      `root 711\n${id}-${site} 700\nroot 600`,
    );
    expect(await on(store.host, `find ${path}/${site} ! -user ${id}-${site}`)).toBe('');
    const sealed = openFromRecovery(recoveryKey, await on(store.host, `cat ${path}/recovery/${site}`));
    expect(JSON.parse(sealed.toString())).toMatchObject({ site });
  });
});

test('a directory of the server itself will do for a trial, where it is there', async () => {
  await rig.chom.must('storage', 'add', 'trial', '--repository', '/srv/backups');
  const missing = await rig.chom('storage', 'check', 'trial', '--from', 'web1', '--json');
  expect(missing.json?.error?.message).toContain('there is no directory /srv/backups');
  await on(web1, 'mkdir -m 0700 /srv/backups');
  const { json } = await rig.chom.must('storage', 'check', 'trial', '--from', 'web1', '--json');
  expect(json).toMatchObject({ ok: true, storage: { access: 'deletable' } });
  await rig.chom.must('storage', 'remove', 'trial', '--confirm', 'trial');
});

describe('a REST server', () => {
  const rest = () => ['--repository', store.rest, '--ca', store.caFile];
  const credentials = async (site: string) => {
    const of = await repositories.byId(rig.inventory.db, repositories.repositoryId((await storage('store')).id, site));
    const login = repositories.loginOf(of, await storage('store'), rig.keyring);
    if (login?.kind !== 'rest') throw new Error('it has no login of a REST server');
    return { login, password: repositories.passwordOf(of, rig.keyring).toString() };
  };

  test('is refused where nobody says which server keeps its files, and over http', async () => {
    for (const words of [rest(), ['--repository', 'rest:http://store.lab.test', '--maintain', 'store1:/srv/rest']]) {
      const { exit, json } = await rig.chom('storage', 'add', 'store', ...words, '--json');
      expect({ exit, type: json?.error?.type }).toEqual({ exit: 2, type: 'InvalidInput' });
    }
  });

  test('is found to be append-only, with a login for each site, and its repositories are whole', async () => {
    await rig.chom.must('storage', 'add', 'store', ...rest(), '--maintain', `store1:${store.restPath}`);
    const { json } = await rig.chom.must('storage', 'check', 'store', '--json');
    expect(json).toMatchObject({
      ...{ ok: true, checks: [{}, {}, { name: 'access', state: 'ok' }, { name: 'trial', state: 'ok' }] },
      storage: { access: 'append-only', logins: 'per-site', maintain: { server: 'store1', path: store.restPath } },
    });
    await rig.replayed(json?.operation ?? '');
    expect((await rig.chom.must('storage', 'list')).stdout).toMatch(/^store +one per site +append-only /m);
    // Again: the repository for trying is there, and whoever keeps it finds two snapshots.
    await rig.chom.must('storage', 'check', 'store');
    expect(await on(store.host, `ls ${store.restPath}/trial/snapshots | wc -l`)).toBe('2');
  });

  test('gives each site a repository of its own, once, that no other site reaches or deletes from', async () => {
    await rig.chom.must('site', 'create', 'two.lab.test', '--server', 'web1', '--no-tls');
    const site = await siteId('two.lab.test');
    const [one, { id }] = [await siteId('one.lab.test'), await storage('store')];
    const server = (await servers.byName(rig.inventory.db, 'default', 'web1')).id;
    const plan = { tenant: 'default', server, site, storage: id };
    const made = await prepareRepository(rig, plan, 'two');
    const { login, password } = await credentials(site);
    await prepareRepository(rig, { ...plan, site: one }, 'three');
    expect(await prepareRepository(rig, plan, 'four')).toBe(made);
    expect(await credentials(site)).toEqual({ login, password });
    const users = await on(
      store.host,
      `cut -d : -f 1 ${store.restPath}/.htpasswd; stat -c '%U %a' ${store.restPath}/.htpasswd`,
    );
    expect(users.split('\n').sort()).toEqual([one, site, 'trial', 'rest-server 600'].sort());
    const sealed = openFromRecovery(recoveryKey, await on(store.host, `cat ${store.restPath}/recovery/${site}`));
    expect(JSON.parse(sealed.toString())).toMatchObject({ site, password });
    const as = (of: string) => {
      const url = `rest:https://${login.user}:${login.password}@${store.host.address}:8000/${of}`;
      return `RESTIC_PASSWORD=${password} restic -r ${url} --cacert /root/ca.pem --no-cache`;
    };
    await on(web1, `cat >/root/ca.pem <<'END'\n${await readFile(store.caFile, 'utf8')}END`);
    expect(
      await on(web1, `echo x | ${as(site)} backup -q --stdin && ${as(site)} snapshots --json | grep -o '"id"' | wc -l`),
    ).toBe('1');
    expect((await web1.exec(`${as(one)} snapshots`)).stderr).toContain('401 Unauthorized');
    const tried = await web1.exec(
      `id=$(${as(site)} snapshots --json | sed 's/.*"id":"\\([0-9a-f]*\\)".*/\\1/'); ${as(site)} forget $id; ${as(site)} snapshots --json`,
    );
    expect(tried.stdout).toContain('"id"');
    const open = `RESTIC_PASSWORD=${password} restic -r ${store.maintenance}/${site} --no-cache`;
    const [snapshot = ''] =
      /[0-9a-f]{64}/.exec(await on(store.host, `${open} snapshots --json | tr , '\\n' | grep '"id"'`)) ?? [];
    await on(store.host, `${open} forget --prune ${snapshot}`);
    expect(await on(store.host, `${open} snapshots --json`)).toBe('[]');
  });

  test('whose repository was damaged is found, and which one it is', async () => {
    const site = await siteId('two.lab.test');
    // As a disk does that lies about what it wrote.
    await on(store.host, `cp /etc/hostname ${store.restPath}/${site}/index/${'0'.repeat(64)}`);
    const { exit, json } = await rig.chom('storage', 'check', 'store', '--json');
    expect({ exit, wrong: wrongOf(json).map(({ name }) => name) }).toEqual({ exit: 1, wrong: [site] });
  });

  test('lets nothing secret be seen by who is on a host', async () => {
    const { login, password } = await credentials(await siteId('two.lab.test'));
    for (const host of [web1, store.host]) {
      const traces = `grep -rlF -e ${password} -e ${login.password} /var/lib/chom /run/chom /run/systemd /var/log /etc 2>/dev/null; journalctl -q | grep -cF -e ${password} -e ${login.password}`;
      expect((await host.exec(traces)).stdout.trim()).toBe('0');
    }
  });

  test('has a recovery kit that opens a repository with restic alone', async () => {
    const hidden = await rig.chom.must('storage', 'recovery-kit', '--json');
    const site = await siteId('one.lab.test');
    const { password } = await credentials(site);
    expect(hidden.stdout).not.toContain(password);
    const { json } = await rig.chom.must('storage', 'recovery-kit', '--reveal', '--json');
    const entries = json?.['repositories'] as {
      site: string;
      storage: string;
      repository: string;
      password: string;
      sealed: string;
    }[];
    const entry = entries.find((one) => one.site === site && one.storage === 'store');
    expect(entry).toMatchObject({ password, sealed: `${store.restPath}/recovery/${site}` });
    const local = `RESTIC_PASSWORD=${entry?.password} restic -r ${store.restPath}/${site} --no-cache --no-lock cat config`;
    expect(await on(store.host, local)).toContain('"version"');
  });
});

describe('S3', () => {
  const login = (bucket: string) => join(rig.home, `${bucket}-login`);
  const add = async (bucket: string, ...words: string[]) =>
    await rig.chom('storage', 'add', bucket, '--repository', `${store.s3.url}/${bucket}/chom`, ...words, '--json');
  /** With the access key in a file. */
  const added = async (order: { name: string; versioned: boolean; keeps: boolean }) => {
    await writeFile(login(order.name), `${await store.s3.bucket(order)}\n`, { mode: 0o600 });
    const { exit, json, stderr } = await add(order.name, '--login', login(order.name), '--ca', store.caFile);
    expect({ exit, stderr }).toMatchObject({ exit: 0 });
    expect(json).toMatchObject({ storage: { kind: 's3', logins: 'shared', loginPublic: order.name, access: null } });
    return await rig.chom('storage', 'check', order.name, '--from', 'web1', '--json');
  };

  test('says what is wrong: no access key, one that nobody knows, a CA that is another', async () => {
    expect((await add('keeping')).json?.error?.message).toContain('with which access key');
    await writeFile(login('other'), 'nobody:secret', { mode: 0o600 });
    await rig.chom.must(
      ...['storage', 'add', 'other', '--repository', `${store.s3.url}/other`],
      ...['--login', login('other'), '--ca', store.caFile],
    );
    const refused = await rig.chom('storage', 'check', 'other', '--from', 'web1', '--json');
    expect(refused.json?.error).toMatchObject({ type: 'StorageRefused' });
  });

  test('that lets nobody delete is deletable all the same where what is there can be written over', async () => {
    const { json } = await added({ name: 'overwritten', versioned: false, keeps: true });
    expect(json).toMatchObject({ ok: true, storage: { access: 'deletable' } });
  });

  test('that keeps versions, and lets nobody delete them, is append-only', async () => {
    const { json } = await added({ name: 'keeping', versioned: true, keeps: true });
    expect(json).toMatchObject({ ok: true, storage: { access: 'append-only' } });
    expect((await rig.chom.must('storage', 'list')).stdout).toMatch(/^keeping +shared login +append-only /m);
  });

  test('takes a backup, whose recovery kit opens it and its sealed password with restic alone', async () => {
    const made = await rig.chom.must('backup', 'create', 'one.lab.test', '--storage', 'keeping', '--json');
    expect(made.json).toMatchObject({ backup: { state: 'completed', storage: 'keeping' } });
    const site = await siteId('one.lab.test');
    const { json } = await rig.chom.must('storage', 'recovery-kit', '--reveal', '--json');
    const entries = json?.['repositories'] as Record<string, string>[];
    const entry = entries.find((one) => one['site'] === site && one['storage'] === 'keeping');
    const [id, secret] = (await readFile(login('keeping'), 'utf8')).trim().split(':');
    const as = `AWS_ACCESS_KEY_ID=${id} AWS_SECRET_ACCESS_KEY=${secret} RESTIC_PASSWORD`;
    const restic = `restic --cacert /root/s3-ca.pem --no-cache --no-lock`;
    await on(web1, `cat >/root/s3-ca.pem <<'END'\n${await readFile(store.caFile, 'utf8')}END`);
    const snapshots = await on(
      web1,
      `${as}=${entry?.['password']} ${restic} -r ${entry?.['repository']} snapshots --json`,
    );
    expect(snapshots.match(/"role=(files|manifest)"/g)).toHaveLength(2);
    const sealed = await on(
      web1,
      `${as}=${entry?.['sealedOpenedBy']} ${restic} -r ${entry?.['sealed']} dump latest /sealed`,
    );
    expect(JSON.parse(openFromRecovery(recoveryKey, sealed).toString())).toMatchObject({
      ...{ site, password: entry?.['password'], repository: entry?.['repository'] },
    });
  });

  test('lets nothing secret be seen by who is on a host, or reads the inventory or the worker’s log', async () => {
    const [, secret = ''] = (await readFile(login('keeping'), 'utf8')).trim().split(':');
    const traces = `grep -rlF -e ${secret} /var/lib/chom /run/chom /run/systemd /var/log /etc /var/cache/chom 2>/dev/null; journalctl -q | grep -cF -e ${secret}`;
    expect((await web1.exec(traces)).stdout.trim()).toBe('0');
    const shown = await rig.chom.must('storage', 'show', 'keeping', '--json');
    const kept = await readFile(join(rig.home, 'inventory.db'));
    for (const text of [shown.stdout, await rig.workerLog(), kept.toString('latin1')])
      expect(text).not.toContain(secret);
  });
});
