import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { openInventory } from '../../src/inventory/database.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import { hostTree } from './host-tree.js';
import { type Rig, startRig } from './rig.js';

let rig: Rig;
let host: LabHost;
let files: string;
beforeAll(async () => {
  files = await mkdtemp(join(tmpdir(), 'chom-files-'));
  rig = await startRig({ hosts: [{ name: 'web1' }] });
  host = rig.lab.host('web1');
  await rig.startWorker();
  await rig.enrol(host);
});
afterAll(async () => {
  await rig?.down();
  await rm(files, { recursive: true, force: true });
});

async function on(script: string): Promise<string> {
  const { exit, stdout, stderr } = await host.exec(script);
  if (exit !== 0) throw new Error(`on ${host.name}: ${script}: exit ${exit}: ${stderr}`);
  return stdout.trim();
}

const create = (domain: string) => ['site', 'create', domain, '--server', 'web1', '--no-tls', '--json'];
const nextUid = async () => (await servers.byName(rig.inventory.db, 'default', 'web1')).nextUid;

test('an inventory that was restored from an older copy gives no uid a second time', async () => {
  await rig.chom.must(...create('kept.lab.test'));
  const copy = join(files, 'home');
  await mkdir(copy, { mode: 0o700 });
  await cp(join(rig.home, 'keyring.json'), join(copy, 'keyring.json'));
  const original = new Database(join(rig.home, 'inventory.db'), { readonly: true });
  original.exec(`vacuum into '${join(copy, 'inventory.db')}'`);
  original.close();
  // A site that came and went, with its user, and one that stayed.
  await mkdir(join(files, 'app'));
  await writeFile(join(files, 'app', 'index.php'), '');
  const gone = await rig.chom(...create('gone.lab.test'), '--type', 'laravel', '--from', join(files, 'app'));
  expect(gone.exit).toBe(1);
  const { uid: used } = await sites.byDomain(rig.inventory.db, 'gone.lab.test');
  expect((await host.exec(`getent passwd ${used}`)).exit).not.toBe(0);
  await rig.chom.must(...create('later.lab.test'));
  expect(await on('cut -d " " -f 1 /var/lib/chom/uids; stat -c %a:%U /var/lib/chom/uids')).toBe(
    [used - 1, used, used + 1, '600:root'].join('\n'),
  );
  await rig.stopWorker();

  const restored = rig.chom.within({ CHOM_HOME: copy, CHOM_TASK_QUEUE: 'restored' });
  const worker = restored.start('worker');
  const inventory = await openInventory({ file: join(copy, 'inventory.db') });
  try {
    await poll('its worker serves', 60_000, async () => worker.said().stderr.includes('worker started'));
    const before = await hostTree(host, { times: true });
    const refused = await restored(...create('new.lab.test'));
    expect([refused.exit, refused.json?.error]).toMatchObject([
      1,
      {
        type: 'Conflict',
        message: expect.stringContaining(`Uid ${used} on web1 belonged to another site`) as string,
        next: 'chom server adopt web1 --confirm web1',
      },
    ]);
    // Of the one that stayed, too, although its user is there.
    const again = await restored(...create('new.lab.test'));
    expect(again.json?.error?.message).toContain(`Uid ${used + 1} on web1 belonged to another site`);
    expect(await hostTree(host, { times: true })).toEqual(before);
    await restored.must('server', 'adopt', 'web1', '--confirm', 'web1');
    await restored.must(...create('new.lab.test'));
    const made = await sites.byDomain(inventory.db, 'new.lab.test');
    expect([made.uid, made.status]).toEqual([used + 2, 'active']);
    expect(await on(`getent passwd ${made.uid} | cut -d : -f 1; tail -n 1 /var/lib/chom/uids`)).toBe(
      `${made.id}\n${made.uid} ${made.id}`,
    );
    // Never shorter: the first of them is still there.
    expect(await on(`grep -c . /var/lib/chom/uids`)).toBe('4');
  } finally {
    await inventory.close();
    await worker.stop();
  }
});

test('a uid that owns what a site left is not given out, where adopting or enrolling has seen it', async () => {
  await rig.startWorker();
  await on('install -d -o 20777 /srv/chom/sorphaaaaa/app');
  await rig.chom.must('server', 'adopt', 'web1', '--confirm', 'web1');
  expect(await nextUid()).toBe(20_778);
  // As on a server of before there were notes.
  await on('rm /var/lib/chom/uids && useradd -M -u 20888 somebody');
  await rig.enrol(host);
  expect(await nextUid()).toBe(20_889);
  await rig.chom.must(...create('after.lab.test'));
  const { uid, id } = await sites.byDomain(rig.inventory.db, 'after.lab.test');
  expect(uid).toBe(20_889);
  expect(await on('cat /var/lib/chom/uids')).toBe(`${uid} ${id}`);
});
