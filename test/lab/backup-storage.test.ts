import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Lab, type LabHost, startLab } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { expectOk } from '../../src/host/exit.js';
import { paths } from '../../src/host/paths.js';
import { repositoryUrl } from '../../src/host/restic.js';
import { sh } from '../../src/host/shell.js';
import { makeSshKey } from '../../src/host/ssh-key.js';
import { stateDirectories } from '../../src/host/state.js';
import { addRestUser } from '../../src/host/storage-host.js';
import { AWKWARD_CONTENTS, backUpAwkward } from './awkward-database.js';
import {
  type BackedUp,
  backedUp,
  giveRestic,
  isHeld,
  type Kept,
  killJob,
  newSite,
  reaches,
  slowFile,
  whileLocked,
} from './backup-site.js';
import { FAILING_STORAGES, READS_NOTHING_BACK } from './failing-storage.js';
import { ask, make, ready } from './on-host.js';
import { jobOf, reach } from './reach.js';

let lab: Lab;
let hosts: ReturnType<typeof reach>;
let store: LabHost;

beforeAll(async () => {
  lab = await startLab({ hosts: [{ name: 'web1' }, { name: 'old', debian: 12 }, { name: 'store1', store: true }] });
  hosts = reach(lab.hosts);
  store = lab.store.host;
  for (const name of ['web1', 'old']) await ready(lab.host(name));
  await giveRestic(lab.host('web1'), null);
  await giveRestic(lab.host('old'), lab.restic);
  await make(store, stateDirectories());
  await giveRestic(store, null);
});

afterAll(async () => {
  await hosts?.close();
  await lab?.down();
});

/** A repository of the site on the store, by SFTP or by the append-only REST server, with a login of its own. */
async function onStore(kind: 'sftp' | 'rest', site: string): Promise<Kept> {
  const password = Buffer.from('lab');
  if (kind === 'sftp') {
    const key = makeSshKey(site);
    await lab.store.authorize(key.public);
    const [type = '', blob = ''] = (await ask(store, sh`cat /etc/ssh/ssh_host_ed25519_key.pub`)).split(' ');
    const login = { kind, privateKey: key.private.toString() };
    const url = repositoryUrl(`sftp://store@${store.address}:22//data`, site);
    const access = { url, password, login, hostKey: `${type} ${blob.trim()}`, ca: null };
    return { access, keeper: store, path: `${lab.store.sftpPath}/${site}` };
  }
  const secret = randomBytes(16).toString('hex');
  const change = addRestUser({ path: lab.store.restPath, user: site, salt: 'abcdefghijklmnopqrstuu' });
  const keeper = await hosts.for('store1');
  const output = await keeper.job({ ...jobOf(), ...change, secrets: { login: Buffer.from(secret) } });
  expectOk(output, keeper, 'Letting the site into the REST server');
  // It looks for new users by itself, but not soon while it is asked all the time.
  await ask(store, sh`systemctl restart rest-server`);
  const url = repositoryUrl(lab.store.rest, site);
  const config = `${url.slice('rest:'.length).replace(/\/$/, '')}/config`;
  await poll('the REST server lets it in', 120_000, async () => {
    const asked = sh`curl -sk -o /dev/null -w '%{http_code}' -u ${`${site}:${secret}`} ${config} || true`;
    return (await ask(store, asked)) === '404';
  });
  const login = { kind, user: site, password: secret };
  const ca = await readFile(lab.store.caFile, 'utf8');
  return { access: { url, password, login, hostKey: null, ca }, keeper: store, path: `${lab.store.restPath}/${site}` };
}

describe.each(['web1', 'old'])('on %s', (name) => {
  it.each(['sftp', 'rest'] as const)('a site is backed up over %s, and again after that was killed', async (kind) => {
    const machine = lab.host(name);
    const host = await hosts.for(name);
    const id = newSite();
    const site = await backedUp(machine, host, { site: id, kept: await onStore(kind, id) });
    await site.sql('CREATE TABLE one (id INT); INSERT INTO one VALUES (1)');
    await ask(machine, slowFile(id, 200));
    const job = site.job();
    const running = host.job(job).catch((error: unknown) => error);
    await reaches(machine, job, 'files');
    await killJob(machine, job);
    expect(await running).toMatchObject({ type: 'Interrupted' });
    const left = await site.snapshots();
    expect(left).toHaveLength(1);
    await ask(machine, sh`rm ${`/srv/chom/${id}/shared/slow`}`);
    const output = await host.job({ ...job, attempt: 'run-1/2' });
    const backup = site.read(output);
    expect(backup).toMatchObject({ partial: false, leftover: left });
    expect(await site.snapshots()).toHaveLength(4);
    expect(await site.locks()).toBe(0);
    const again = await host.job({ ...job, attempt: 'run-1/3' });
    expect(again.already).toBe(true);
    expect(site.read(again)).toEqual(backup);
  });
});

describe('a storage', () => {
  it('that does not answer is named as the cause', async () => {
    const machine = lab.host('web1');
    const id = newSite();
    const kept = await onStore('sftp', id);
    const site = await backedUp(machine, await hosts.for('web1'), { site: id, kept });
    kept.access.url = kept.access.url.replace(':22/', ':2/');
    const failed = await site.backUp({ kind: 'files' }).catch((error: unknown) => error);
    expect(failed).toMatchObject({ type: 'StorageUnreachable' });
  });
});

describe('a storage that fails', () => {
  const sites = new Map<'sftp' | 'rest', BackedUp>();
  const limits = { awaySeconds: 5, lockSeconds: 60 };

  /** One of each kind is enough: what a case leaves, the next one finds. */
  async function siteOn(kind: 'sftp' | 'rest'): Promise<BackedUp> {
    const id = newSite();
    const site =
      sites.get(kind) ??
      (await backedUp(lab.host('web1'), await hosts.for('web1'), { site: id, kept: await onStore(kind, id) }));
    sites.set(kind, site);
    await site.sql('CREATE TABLE IF NOT EXISTS held (id INT)');
    // Something that the repository does not have yet.
    await ask(lab.host('web1'), sh`head -c 3000000 /dev/urandom >${`/srv/chom/${site.site}/app/fresh`}`);
    return site;
  }

  it.each(FAILING_STORAGES)('$kind: because it $what', async ({ kind, during, type, said, locked, hurt, heal }) => {
    const machine = lab.host('web1');
    const host = await hosts.for('web1');
    const site = await siteOn(kind);
    const had = await site.snapshots();
    const slow = `/srv/chom/${site.site}/shared/slow`;
    const job = site.job({ limits });
    const run = async () =>
      await host
        .job(job)
        .then(site.read, (error: unknown) => error)
        .catch((error: unknown) => error);
    let running;
    if (during === 'database') {
      running = await whileLocked(machine, site.site, 'LOCK TABLES held WRITE', async () => {
        const begun = run();
        await reaches(machine, job, 'database');
        await isHeld(machine, site);
        await hurt(store);
        return { begun };
      });
    } else {
      await ask(machine, slowFile(site.site, 200));
      running = { begun: run() };
      await reaches(machine, job, 'files');
      await hurt(store);
      // It comes to the end of what it reads, and has to write it.
      await ask(machine, sh`truncate -s 0 ${slow}`);
    }
    const failed = await running.begun;
    await heal(store);
    await ask(machine, sh`rm -f ${slow}`);
    expect(failed).toMatchObject({
      type,
      message: expect.stringMatching(said),
      details: [{ server: 'web1', cause: expect.any(String), next: 'chom storage check lab' }],
    });
    expect(await site.locks()).toBe(locked ? 1 : 0);
    const left = (await site.snapshots()).filter((id) => !had.includes(id));
    expect(left).toHaveLength(during === 'files' ? 1 : 0);
    // The next attempt is a whole one, names what was left, and takes the dead lock away.
    const backup = site.read(await host.job({ ...job, attempt: 'run-1/2' }));
    expect(backup).toMatchObject({ partial: false, leftover: left });
    expect(await site.locks()).toBe(0);
  });

  it('because it is gone when the backup is to be read back, is not taken for a damaged one', async () => {
    const machine = lab.host('web1');
    const site = await siteOn('rest');
    const other = '/usr/local/lib/chom/reads-nothing';
    await ask(
      machine,
      sh`printf %s ${READS_NOTHING_BACK} >${other} && chmod 755 ${other} && ln -sfn ${other} ${paths.restic}`,
    );
    const failed = await site.backUp({ limits }).catch((error: unknown) => error);
    await ask(machine, sh`ln -sfn /usr/bin/restic ${paths.restic} && rm ${other}`);
    expect(failed).toMatchObject({ type: 'StorageUnreachable', message: expect.stringMatching(/connection refused/) });
  });

  it('because its repository has another password, or is another one, is not asked again', async () => {
    const site = await siteOn('rest');
    const { access } = site;
    const { password, url } = access;
    access.password = Buffer.from('of another');
    const wrong = await site.backUp({ limits }).catch((error: unknown) => error);
    Object.assign(access, { password, url: `${url}/nowhere` });
    const none = await site.backUp({ limits }).catch((error: unknown) => error);
    access.url = url;
    const next = 'chom storage check lab';
    expect(wrong).toMatchObject({ type: 'WrongPassword', details: [{ next }] });
    expect(none).toMatchObject({ type: 'NoRepository', details: [{ next }] });
  });
});

describe('a server that is rebooted', () => {
  it('in the middle of the dump makes the backup anew', async () => {
    const machine = lab.host('web1');
    const host = await hosts.for('web1');
    const id = newSite();
    const site = await backedUp(machine, host, { site: id, kept: await onStore('sftp', id) });
    await site.sql('CREATE TABLE held (id INT)');
    const job = site.job();
    const running = await whileLocked(machine, id, 'LOCK TABLES held WRITE', async () => {
      const begun = host.job(job).catch((error: unknown) => error);
      await isHeld(machine, site);
      await machine.reboot();
      return { begun };
    });
    expect(await running.begun).toMatchObject({ type: 'Interrupted' });
    expect(await site.snapshots()).toEqual([]);
    const backup = site.read(await host.job({ ...job, attempt: 'run-1/2' }));
    expect(backup).toMatchObject({ partial: false, leftover: [] });
    expect(await site.locks()).toBe(0);
  });
});

describe('an older MariaDB', () => {
  it('is dumped whole too, and its rows are counted as it counts them', async () => {
    const machine = lab.host('old');
    const { dumped, counted, restored, contents } = await backUpAwkward(
      machine,
      await backedUp(machine, await hosts.for('old')),
    );
    expect(dumped).toEqual(counted);
    expect(restored).toEqual(counted);
    expect(contents).toMatchObject(AWKWARD_CONTENTS);
  });
});
