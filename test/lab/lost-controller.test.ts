import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabHost, LabStore } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { freePort } from '../../lab/ports.js';
import { openInventory } from '../../src/inventory/database.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import * as sites from '../../src/inventory/sites.js';
import { CERTIFICATE } from '../../src/workflows/plans.js';
import { holdPublishing } from './held.js';
import { startRig, type Rig } from './rig.js';

let rig: Rig;
let web1: LabHost;
let store: LabStore;
let recoveryKey = '';
let elsewhere = '';
beforeAll(async () => {
  elsewhere = await mkdtemp(join(tmpdir(), 'chom-elsewhere-'));
  rig = await startRig({ hosts: [{ name: 'web1' }, { name: 'store1', store: true }], acme: true });
  web1 = rig.lab.host('web1');
  store = rig.lab.store;
  await rig.startWorker();
  recoveryKey = /CHOM-RECOVERY-PRIVATE-\S+/.exec((await rig.enrol(web1)).stderr)?.[0] ?? '';
});
afterAll(async () => {
  await rig?.down();
  await rm(elsewhere, { recursive: true, force: true });
});

const create = (domain: string) => ['site', 'create', domain, '--server', 'web1', '--no-tls', '--json'];
const visit = async (domain: string) => (await rig.fetch(domain, { address: web1.address, https: false })).status;

async function onStore(script: string): Promise<string> {
  const { exit, stdout, stderr } = await store.host.exec(script);
  if (exit !== 0) throw new Error(`${script}: exit ${exit}: ${stderr}`);
  return stdout.trim();
}

/** Whether some job on the host waits for the lock of nginx. */
const waits = async () => (await web1.exec("pgrep -x -f 'flock -w 240 9'")).exit === 0;

test('[DR-02] a controller that is lost with Temporal comes back from its backup, and goes on', async () => {
  await rig.chom.must(...create('kept.lab.test'));
  const kept = await sites.byDomain(rig.inventory.db, 'kept.lab.test');
  await rig.lab.acme.setAddress('kept.lab.test', { a: [web1.address] });

  const box = ['storage', 'add', 'box', '--repository', store.sftp, '--host-key', store.host.hostKey];
  const { stderr: told } = await rig.chom.must(...box);
  const back = ['backup', 'database', '--encrypt', '--test', '--upload', 'box', '--json'];
  // Nobody has let the key in yet.
  const refused = await rig.chom(...back);
  expect(refused).toMatchObject({ exit: 1, json: { error: { type: 'StorageUnreachable' } } });
  expect(refused.stderr).toContain('It lies on this machine alone: ');
  await store.authorize(/ssh-ed25519 \S+ \S+/.exec(told)?.[0] ?? '');

  // A certificate that an authority had deferred: nobody tries it before the copy is made.
  const [made] = await operations.list(rig.inventory.db, { site: kept.id });
  const owed = { operation: made?.id ?? '', name: CERTIFICATE };
  const due = (at: number) => ({
    ...{ ...owed, targets: { site: kept.id, names: ['kept.lab.test'] } },
    due: new Date(at).toISOString(),
  });
  await rig.inventory.transaction(async (trx) => await obligations.add(trx, due(Date.now() + 3_600_000)));
  let name = '';
  const { id: held, running } = await holdPublishing(web1, async () => {
    const work = rig.chom.start(...create('held.lab.test'));
    await poll('its job waits for nginx', 120_000, waits);
    const [row] = await operations.list(rig.inventory.db, { kind: 'provision-site', state: 'running' });
    const { json } = await rig.chom.must(...back);
    expect(json).toMatchObject({ encrypted: true, tested: true, keyring: true, database: 'sqlite' });
    name = String(json?.['name']);
    expect(json?.['uploaded']).toMatch(/^sftp:.*\/control-plane\/control-plane-.*\.chom-sealed$/);
    return { id: row?.id ?? '', running: work };
  });
  // The copy is old by all that follows: what was at work has ended well, and the site has had another change.
  expect((await running.ended).exit).toBe(0);
  await rig.chom.must('site', 'repair', 'kept.lab.test');

  await rig.killWorker();
  await rig.killTemporal();
  await rig.inventory.close();
  await rm(rig.home, { recursive: true });

  const directory = `${store.sftpPath}/control-plane`;
  expect(await onStore(`ls -A ${directory}`)).toBe(name);
  const [file, keyFile, home] = [join(elsewhere, name), join(elsewhere, 'key'), join(elsewhere, 'home')];
  await writeFile(file, Buffer.from(await onStore(`base64 ${directory}/${name}`), 'base64'));
  await writeFile(keyFile, `the recovery key: ${recoveryKey}\n`);
  const [port, uiPort, codecPort] = [await freePort(), await freePort(), await freePort()];
  const bare = rig.chom.within({
    CHOM_HOME: home,
    TEMPORAL_ADDRESS: undefined,
    TEMPORAL_CONFIG_FILE: join(home, 'none'),
  });
  const { json } = await bare.must('restore-control-plane', file, '--recovery-key', keyFile, '--json');
  expect(json).toMatchObject({ ended: [{ id: held, outcome: 'failed' }], owed: 1 });
  expect(JSON.stringify(json)).toContain('chom server adopt web1 --confirm web1');
  const inventory = await openInventory({ file: join(home, 'inventory.db') });
  try {
    const dev = bare.start('dev', '--port', `${port}`, '--ui-port', `${uiPort}`, '--codec-port', `${codecPort}`);
    try {
      await poll('the worker serves', 120_000, async () => dev.said().stderr.includes('worker started'));
      const chom = bare.within({ TEMPORAL_ADDRESS: `127.0.0.1:${port}` });
      // The server knows newer things than the copy.
      const stale = await chom('site', 'repair', 'kept.lab.test', '--json');
      expect(stale).toMatchObject({ exit: 1, json: { error: { type: 'StaleClaim' } } });
      await chom.must('server', 'adopt', 'web1', '--confirm', 'web1');
      await chom.must('site', 'repair', 'kept.lab.test');
      await chom.must(...create('new.lab.test'));
      // What had ended well since the copy is not taken back by itself …
      for (const domain of ['kept', 'held', 'new'])
        expect([domain, await visit(`${domain}.lab.test`)]).toEqual([domain, 200]);
      // … but when somebody asks for it; then its name is free.
      expect((await chom(...create('held.lab.test'))).exit).not.toBe(0);
      await chom.must('op', 'settle', held);
      // nginx closes the connection of whoever asks for a site that it does not have.
      await expect(visit('held.lab.test')).rejects.toThrow('socket hang up');
      await chom.must(...create('held.lab.test'));
      await inventory.transaction(async (trx) => await obligations.postpone(trx, owed, new Date().toISOString()));
      // Another one looks at once for what is due.
      const second = chom.start('worker');
      const met = async () => (await obligations.find(inventory.db, owed))?.state === 'done';
      await poll('what was owed is done', 180_000, met);
      await second.stop();
      expect((await rig.fetch('kept.lab.test', { address: web1.address })).status).toBe(200);
    } finally {
      await dev.stop('SIGINT');
    }
  } finally {
    await inventory.close();
  }
}, 600_000);
