import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { poll } from '../../lab/poll.js';
import { holdPublishing } from './held.js';
import * as sites from '../../src/inventory/sites.js';
import { type Rig, startRig } from './rig.js';
import { startTraffic, type Visits } from './traffic.js';

/** How many operations run beside the load; more of them make a measurement of it. */
const OPERATIONS = Number(process.env['NEIGHBOUR_OPERATIONS'] ?? 4);
const STEADY = 'steady.lab.test';
const BROKEN = '/etc/nginx/conf.d/broken.conf';

let rig: Rig;
let files: string;
beforeAll(async () => {
  files = await mkdtemp(join(tmpdir(), 'chom-files-'));
  await mkdir(join(files, 'app'));
  await writeFile(join(files, 'app', 'index.php'), '<?php echo "fast";');
  await writeFile(join(files, 'app', 'slow.php'), '<?php echo "begun "; sleep(5); echo "ended";');
  rig = await startRig({ hosts: [{ name: 'web1' }], acme: true });
  await rig.startWorker();
  await rig.enrol(rig.lab.host('web1'));
  await create(STEADY);
});
afterAll(async () => {
  await rig?.down();
  await rm(files, { recursive: true, force: true });
});

const address = () => rig.lab.host('web1').address;
const visit = async (path = '/') => await rig.fetch(STEADY, { address: address(), https: false, path });
const words = (domain: string, tls = '--no-tls') => {
  const from = ['--server', 'web1', '--type', 'php', '--from', join(files, 'app')];
  return ['site', 'create', domain, ...from, ...(tls === '' ? [] : [tls]), '--json'];
};

async function create(domain: string, tls?: string) {
  return await rig.chom.must(...words(domain, tls));
}

/** A site that nginx does not take, because somebody has broken its configuration: it is undone. */
async function createInVain(domain: string) {
  await rig.lab.host('web1').exec(`echo 'no such directive;' >${BROKEN}`);
  const ran = await rig.chom(...words(domain));
  await rig.lab.host('web1').exec(`rm ${BROKEN}`);
  expect(ran.json?.error?.type).toBe('HostConfigurationBroken');
}

const fast = (perSecond: number) =>
  startTraffic(
    perSecond,
    async () => await visit(),
    ({ body }) => body === 'fast',
  );

function tell(what: string, { answered, slowest, p99 }: Visits): void {
  process.stdout.write(`${what}: ${answered} answered, 1 in 100 above ${p99} ms, the slowest ${slowest} ms\n`);
}

test('a request of 5 s and fast ones on a site survive creation, change, failure and cancelling of another', async () => {
  await rig.lab.acme.setAddress('other.lab.test', { a: [address()] });
  const happenings: [string, () => Promise<unknown>][] = [
    ['creation', async () => await create('other.lab.test', '')],
    ['change', async () => await rig.chom.must('certificate', 'issue', 'other.lab.test')],
    ['failure and undo', async () => await createInVain('vain.lab.test')],
    [
      'cancelling and undo',
      async () => {
        await holdPublishing(rig.lab.host('web1'), async () => {
          const { json } = await rig.chom.must(...words('left.lab.test'), '--detach');
          const { db } = rig.inventory;
          const reserved = async () => (await sites.list(db)).some(({ domain }) => domain === 'left.lab.test');
          await poll('its site is reserved', 60_000, reserved);
          await rig.temporal.workflow.getHandle(json?.operation ?? '').cancel();
          expect((await rig.chom('op', 'watch', json?.operation ?? '', '--json')).json?.status).toBe('cancelled');
        });
      },
    ],
  ];
  for (const [what, happens] of happenings) {
    const traffic = fast(10);
    const slow = visit('/slow.php');
    await happens();
    expect(await slow, what).toMatchObject({ status: 200, body: 'begun ended' });
    const visits = await traffic.end();
    expect(visits.failed, what).toEqual([]);
    tell(what, visits);
  }
  const { stdout } = await rig.lab
    .host('web1')
    .exec('systemctl show -P NRestarts nginx; systemctl show -P ActiveEnterTimestamp nginx');
  expect(stdout).toMatch(/^0\n/);
});

const time = { timeout: 120_000 + OPERATIONS * 30_000 };
test('50 requests a second on a site lose none while operations run on its server', time, async () => {
  const traffic = fast(50);
  const left = Array.from({ length: OPERATIONS }, (_, n) => `site${n}.lab.test`);
  const work = async () => {
    for (let domain = left.shift(); domain !== undefined; domain = left.shift()) await create(domain);
  };
  await Promise.all([work(), work(), work()]);
  const visits = await traffic.end();
  expect(visits.failed).toEqual([]);
  tell(`${OPERATIONS} operations`, visits);
});

test('the UID of a site that failed is never given again', async () => {
  await createInVain('again.lab.test');
  await create('after.lab.test');
  const rows = await rig.inventory.db.selectFrom('sites').select(['uid', 'status']).orderBy('uid').execute();
  expect(rows.map(({ status }) => status).slice(-2)).toEqual(['failed', 'active']);
  expect(rows.map(({ uid }) => uid)).toEqual(rows.map((_, n) => 20_000 + n));
  const { stdout } = await rig.lab
    .host('web1')
    .exec(`getent passwd | grep -c 'CHOM site'; find / -xdev -uid +19999 -printf '%U\\n' | sort -u`);
  const alive = rows.filter(({ status }) => status === 'active').map(({ uid }) => `${uid}`);
  expect(stdout.split('\n').filter(Boolean)).toEqual([`${alive.length}`, ...alive]);
});
