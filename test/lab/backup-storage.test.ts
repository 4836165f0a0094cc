import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Lab, type LabHost, startLab } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { expectOk } from '../../src/host/exit.js';
import { repositoryUrl } from '../../src/host/restic.js';
import { sh } from '../../src/host/shell.js';
import { makeSshKey } from '../../src/host/ssh-key.js';
import { stateDirectories } from '../../src/host/state.js';
import { addRestUser } from '../../src/host/storage-host.js';
import { AWKWARD_CONTENTS, backUpAwkward } from './awkward-database.js';
import { backedUp, giveRestic, type Kept, killJob, newSite, reaches, slowFile } from './backup-site.js';
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
