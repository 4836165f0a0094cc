import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import * as credentials from '../../src/inventory/credentials.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import { hostTree } from './host-tree.js';
import type { Document } from './rig-command.js';
import { type Rig, startRig } from './rig.js';
import { eventsOf, killAll, operationOf } from './storm.js';

const DOMAIN = 'kept.lab.test';

let rig: Rig;
let [web1, web2]: LabHost[] = [];
let enrolled = '';
beforeAll(async () => {
  rig = await startRig({ hosts: [{ name: 'web1' }, { name: 'web2' }], acme: true });
  [web1, web2] = ['web1', 'web2'].map((name) => rig.lab.host(name));
  await rig.startWorker();
  enrolled = operationOf(await rig.enrol(web1!, '--smtp-relay', '127.0.0.1'));
});
afterAll(async () => await rig?.down());

async function on(host: LabHost | undefined, script: string): Promise<string> {
  const { exit, stdout, stderr } = (await host?.exec(script)) ?? { exit: null, stdout: '', stderr: 'no host' };
  if (exit !== 0) throw new Error(`on ${host?.name}: ${script}: exit ${exit}: ${stderr}`);
  return stdout.trim();
}
const row = async (id: string) => await operations.byId(rig.inventory.db, id);

test('[CH-01/enrol-server] [CH-01/reboot-server] end as uninterrupted runs would, with the worker killed after every step', async () => {
  const { db } = rig.inventory;
  await rig.lab.acme.setAddress(DOMAIN, { a: [web1?.address ?? ''] });
  await rig.chom.must('site', 'create', DOMAIN, '--server', 'web1', '--type', 'php', '--database', '--no-tls');
  // The server itself counts its boots.
  await on(
    web1,
    `printf '[Service]\\nType=oneshot\\nExecStart=/bin/sh -c "echo >>/var/boots"\\n[Install]\\nWantedBy=multi-user.target\\n' >/etc/systemd/system/count-boots.service
: >/var/boots && systemctl daemon-reload && systemctl enable -q count-boots`,
  );
  const boots = async () => Number(await on(web1, 'wc -l </var/boots'));
  const restart = ['server', 'reboot', 'web1', '--confirm', 'web1', '--json'];
  const left = await rig.chom.must(...restart, '--if-pending');
  expect(left.json).toMatchObject({ restarted: false, warnings: [expect.stringContaining('left alone')] });
  expect(await boots()).toBe(0);
  const calm = await rig.chom.must(...restart);
  expect(calm.json).toMatchObject({ restarted: true, answering: [DOMAIN], silent: [] });
  expect(await boots()).toBe(1);

  const made = await killAll(rig, { enrol: enrolled, reboot: operationOf(calm) }, async (name) => {
    if (name === 'reboot') return operationOf(await rig.chom(...restart, '--detach'));
    // Enrolled already it goes through the same steps again.
    return operationOf(await rig.enrol(web2!, '--smtp-relay', '127.0.0.1', '--detach'));
  });
  for (const { name, operation } of made) {
    expect(await row(operation)).toMatchObject({ outcome: 'succeeded', warnings: [], committed: true });
    expect(await eventsOf(rig, operation)).toEqual([name === 'reboot' ? 'ServerRebooted' : 'ServerEnrolled']);
    expect(await places.find(db, operation)).toBeNull();
    await rig.replayed(operation);
  }
  expect(await boots()).toBe(1 + made.filter(({ name }) => name === 'reboot').length);
  const known = await servers.byName(db, 'default', 'web2');
  expect(known).toMatchObject({ status: 'active', os: 'debian' });
  const keys = await credentials.list(db, known.id);
  expect(keys.map(({ kind, state }) => `${kind} ${state}`)).toEqual(['server-key current']);
  expect(await on(web2, 'grep -c chom- /root/.ssh/authorized_keys')).toBe('1');
  expect(await on(web2, `systemctl list-units --all --no-legend --plain | grep -cE '^chom-[0-9a-f]{20}' || true`)).toBe(
    '0',
  );
  // What is as it was made is left alone by a run that nobody interrupts: nothing is missing, and nothing too much.
  const tree = await hostTree(web2!, { times: true });
  await rig.enrol(web2!, '--smtp-relay', '127.0.0.1');
  expect(await hostTree(web2!, { times: true })).toEqual(tree);
  expect((await rig.chom('server', 'doctor', 'web2', '--json')).json).toMatchObject({ ok: true });
}, 900_000);

/** All hosts of a lab have the load and the memory of the machine that it is on. */
const MACHINES = ['load', 'memory'];

interface Found {
  name: string;
  severity: string;
}
/** Has a server checked, and says what is wrong with it, and what was told of that. */
async function check(name: string) {
  const { id } = await servers.byName(rig.inventory.db, 'default', name);
  const before = (await events.list(rig.inventory.db, { server: id })).length;
  const { exit, json, stderr } = await rig.chom('server', 'check', name, '--json');
  const found = ((json?.['findings'] ?? []) as Found[]).filter((one) => !MACHINES.includes(one.name));
  const told = (await events.list(rig.inventory.db, { server: id })).slice(before);
  const news = told.filter(({ data }) => !MACHINES.includes(String(data['name'])));
  const said = news.map(({ type, data }) => `${type} ${String(data['name'] ?? data['about'])}`);
  if (!json?.operation) throw new Error(stderr);
  await rig.replayed(json.operation);
  return { exit, ok: json['ok'], found: found.map((one) => `${one.severity} ${one.name}`), said };
}

let unreached = '';
test('a check finds what is wrong with a server and its sites, and tells of it once', async () => {
  const { id } = await sites.byDomain(rig.inventory.db, DOMAIN);
  expect(await check('web1')).toEqual({ exit: 0, ok: true, found: [], said: [] });
  // Looked at meanwhile, for that takes three logins.
  await web2?.cut();
  unreached = operationOf(await rig.chom('server', 'check', 'web2', '--detach', '--json'));

  await on(web1, `systemctl stop mariadb chom-php@${id}; touch /run/reboot-required`);
  const wrong = ['serious http', 'serious mariadb', 'serious php', 'warning restart'];
  const broken = await check('web1');
  expect([broken.exit, broken.ok, broken.found.toSorted()]).toEqual([1, false, wrong]);
  const opened = wrong.map((one) => `ServerFindingOpened ${one.split(' ')[1]}`);
  expect(broken.said.toSorted()).toEqual([...Array<string>(3).fill('Alert ServerFindingOpened'), ...opened]);
  const again = await check('web1');
  expect([again.exit, again.found.toSorted(), again.said]).toEqual([1, wrong, []]);
  const { json } = await rig.chom.must('server', 'list', '--json');
  const [listed] = (json?.['servers'] ?? []) as { name: string; health: object }[];
  expect(listed).toMatchObject({ name: 'web1', health: { serious: 3 } });
  expect((await rig.chom.must('server', 'show', 'web1')).stdout).toMatch(
    /MariaDB does not run[^]*systemctl start mariadb/,
  );

  await on(web1, `systemctl start mariadb chom-php@${id}; rm /run/reboot-required`);
  const mended = await check('web1');
  expect([mended.exit, mended.found]).toEqual([0, []]);
  expect(mended.said.toSorted()).toEqual(wrong.map((one) => `ServerFindingResolved ${one.split(' ')[1]}`));
});

test('a database is kept in order while its site serves: what is mostly free is rebuilt, what would lock is left', async () => {
  const { id } = await sites.byDomain(rig.inventory.db, DOMAIN);
  const long = `REPEAT('chom ', 200000)`;
  await on(
    web1,
    `mariadb ${id} <<'SQL'
CREATE TABLE \`odd \`\`name'\` (id INT AUTO_INCREMENT PRIMARY KEY, body LONGTEXT);
CREATE TABLE searched (id INT AUTO_INCREMENT PRIMARY KEY, body LONGTEXT, title VARCHAR(99), FULLTEXT (title));
CREATE TABLE small (id INT);
INSERT INTO \`odd \`\`name'\` (body) SELECT ${long} FROM seq_1_to_40;
INSERT INTO searched (body) SELECT ${long} FROM seq_1_to_40;
DELETE FROM \`odd \`\`name'\` WHERE id > 1; DELETE FROM searched WHERE id > 1;
SQL`,
  );
  const free = `SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '${id}' AND data_free > 20000000`;
  await poll('what was deleted is free', 60_000, async () => (await on(web1, `mariadb -N -e "${free}"`)) === '2');
  const { json } = await rig.chom.must('server', 'optimise', 'web1', '--json');
  const [done, ...others] = (json?.['sites'] ?? []) as (Document & { reclaimedBytes: number })[];
  expect(others).toEqual([]);
  const skipped = [{ table: 'searched', why: 'locking' }];
  expect(done).toMatchObject({ name: DOMAIN, status: 'succeeded', tables: 3, rebuilt: 1, skipped });
  expect(done?.reclaimedBytes).toBeGreaterThan(20_000_000);
  expect(await on(web1, `mariadb -N -e "${free}"`)).toBe('1');
  expect(await on(web1, `mariadb -N ${id} -e "SELECT COUNT(*) FROM \\\`odd \\\`\\\`name'\\\`"`)).toBe('1');
  const operation = done?.operation ?? '';
  expect(await eventsOf(rig, operation)).toEqual([]);
  expect(await row(operation)).toMatchObject({ outcome: 'succeeded', priority: 'low', warnings: [] });
  await rig.replayed(operation);
  const again = await rig.chom.must('server', 'optimise', '--site', DOMAIN, '--json');
  expect(again.json).toMatchObject({ site: DOMAIN, rebuilt: 0, reclaimedBytes: 0 });
  const all = await rig.chom.must('server', 'optimise', '--all', '--json');
  expect(all.json).toMatchObject({ sites: [{ name: DOMAIN, status: 'succeeded', rebuilt: 0 }] });
});

test('a server that cannot be reached is told of after three logins, once, and which one refuses us at once', async () => {
  await rig.chom.must('op', 'watch', unreached);
  const { id } = await servers.byName(rig.inventory.db, 'default', 'web2');
  const told = async () =>
    (await events.list(rig.inventory.db, { server: id }))
      .slice(-2)
      .map(({ type, data }) => [type, data['message'] ?? data['reason']]);
  const message = expect.stringContaining('web2 (');
  expect(await told()).toEqual([
    ['ServerFindingOpened', message],
    ['Alert', message],
  ]);
  await web2?.mend();
  const taken = await on(web2, 'cat /root/.ssh/authorized_keys');
  await on(web2, 'echo >/root/.ssh/authorized_keys');
  const refused = await check('web2');
  expect([refused.exit, refused.found, refused.said]).toEqual([
    ...[1, ['serious login']],
    ['ServerFindingOpened login', 'Alert ServerFindingOpened', 'ServerFindingResolved login'],
  ]);
  await on(web2, `printf '%s\\n' '${taken}' >/root/.ssh/authorized_keys`);
  expect(await check('web2')).toMatchObject({ exit: 0, said: ['ServerFindingResolved login'] });
  const { exit, json } = await rig.chom('server', 'check', '--all', '--json');
  expect([exit, json?.['ok'], ((json?.['servers'] ?? []) as unknown[]).length]).toEqual([0, true, 2]);
});

test('a full disk, a late backup, a failed unit, a due restart and another host key are told of and printed, each until it is mended', async () => {
  // web2 keeps the backups of what web1 serves.
  const key = join(rig.home, 'storage-key');
  await promisify(execFile)('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  await on(
    web2,
    `mkdir /srv/kept; echo '${(await readFile(`${key}.pub`, 'utf8')).trim()}' >>/root/.ssh/authorized_keys`,
  );
  const at = ['--repository', `sftp:root@${web2?.address}:/srv/kept`, '--host-key', web2?.hostKey ?? '', '--key', key];
  await rig.chom.must('storage', 'add', 'box', ...at);
  const save = ['backup', 'create', DOMAIN, '--storage', 'box'];
  await rig.chom.must(...save);
  const longAgo = new Date(Date.now() - 60 * 3_600_000).toISOString();
  await rig.inventory.transaction(async (trx) => {
    await trx.updateTable('backups').set({ startedAt: longAgo, finishedAt: longAgo }).execute();
  });
  // It leaves 200 MiB: what is at work there has enough.
  const fill = 'fallocate -l $(($(df -B 1 --output=avail / | tail -n 1) - 209715200)) /var/filler';
  const key2 = '/etc/ssh/ssh_host_ed25519_key';
  await on(web1, `${fill}; systemd-run -q --unit=chom-broken false; touch /run/reboot-required`);
  await on(
    web2,
    `cp -a ${key2} ${key2}.pub /root; rm ${key2} ${key2}.pub; ssh-keygen -q -t ed25519 -N '' -f ${key2}
systemctl restart ssh`,
  );

  const fingerprint = await on(web2, `ssh-keygen -lf ${key2}.pub | cut -d ' ' -f 2`);
  const failed = async () => (await on(web1, 'systemctl is-failed chom-broken || true')) === 'failed';
  await poll('the unit has failed', 60_000, failed);

  const serious = ['serious backup', 'serious disk'];
  const wrong = [...serious, 'warning restart', 'warning units'];
  const openings = (all: string[]) => all.map((one) => `ServerFindingOpened ${one.split(' ')[1]}`);
  const found = await check('web1');
  expect([found.exit, found.found.toSorted()]).toEqual([1, wrong]);
  const alerts = serious.map(() => 'Alert ServerFindingOpened');
  expect(found.said.toSorted()).toEqual([...alerts, ...openings(wrong)]);
  const another = await check('web2');
  expect(another).toMatchObject({ exit: 1, found: ['serious login'] });
  expect(another.said).toEqual(['ServerFindingOpened login', 'Alert ServerFindingOpened']);

  const late = new RegExp(`The last good backup of ${DOMAIN} is 60 hours old[^]*chom backup create ${DOMAIN}`);
  const printed = async (...words: string[]) => {
    const { exit, stdout } = await rig.chom(...words);
    return { words, exit, stdout };
  };
  const said = (...words: string[]) => ({ words, exit: 1, stdout: expect.any(String) });
  const checked = await printed('server', 'check', 'web1');
  const doctor = await printed('server', 'doctor', 'web1');
  expect([checked, doctor]).toEqual([said('server', 'check', 'web1'), said('server', 'doctor', 'web1')]);
  expect(checked.stdout).toMatch(late);
  for (const { stdout } of [checked, doctor]) {
    expect(stdout).toMatch(/\/ has (19\d|200) MiB free/);
    expect(stdout).toMatch(/chom-broken\.service has failed[^]*systemctl restart chom-broken\.service/);
    expect(stdout).toMatch(/Updates want the server restarted[^]*chom server reboot web1/);
  }
  const site = await printed('site', 'doctor', DOMAIN);
  expect(site).toEqual({ ...said('site', 'doctor', DOMAIN), stdout: expect.stringMatching(late) });
  const keyed = await printed('server', 'check', 'web2');
  const shows = `web2 (${web2?.address}:22) shows another host key than the pinned one: ${fingerprint}`;
  expect(keyed).toEqual({ ...said('server', 'check', 'web2'), stdout: expect.stringContaining(shows) });
  // Also over a connection that was open before nobody gets in now.
  expect(await printed('server', 'doctor', 'web2')).toMatchObject({ exit: 1, stdout: expect.stringContaining(shows) });

  await on(web2, `mv /root/ssh_host_ed25519_key* /etc/ssh && systemctl restart ssh`);
  await on(web1, 'rm /var/filler; systemctl reset-failed chom-broken');
  await rig.chom.must(...save);
  expect(await check('web2')).toMatchObject({ exit: 0, said: ['ServerFindingResolved login'] });
  const mended = await check('web1');
  expect([mended.exit, mended.found]).toEqual([0, ['warning restart']]);
  expect(mended.said.toSorted()).toEqual(['backup', 'disk', 'units'].map((name) => `ServerFindingResolved ${name}`));
});

test('a due restart names the site that answered before it and does not after it, and ends as failed', async () => {
  const { id } = await sites.byDomain(rig.inventory.db, DOMAIN);
  const other = 'other.lab.test';
  await rig.lab.acme.setAddress(other, { a: [web1?.address ?? ''] });
  await rig.chom.must('site', 'create', other, '--server', 'web1', '--no-tls');
  // Somebody's unit takes the site's file away before nginx starts, so that only this boot shows it.
  await on(
    web1,
    `printf '[Unit]\nBefore=nginx.service\n[Service]\nType=oneshot\nExecStart=mv /etc/nginx/chom.d/${id}.conf /root/\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/takes-away.service
systemctl daemon-reload && systemctl enable -q takes-away`,
  );
  const boot = await on(web1, 'cat /proc/sys/kernel/random/boot_id');
  const failed = await rig.chom('server', 'reboot', 'web1', '--confirm', 'web1', '--if-pending', '--json');
  expect(await on(web1, 'cat /proc/sys/kernel/random/boot_id')).not.toBe(boot);
  const operation = operationOf(failed);
  expect({ exit: failed.exit, error: failed.json?.error }).toMatchObject({
    exit: 1,
    error: {
      type: 'ProbeFailed',
      message: `web1 has restarted, and ${DOMAIN} does not answer any more`,
      next: `chom site doctor ${DOMAIN}`,
    },
  });
  expect(await row(operation)).toMatchObject({ outcome: 'failed', failureType: 'ProbeFailed' });
  expect(await eventsOf(rig, operation)).toEqual(['ServerRebootFailed', 'Alert']);
  await rig.replayed(operation);
  const down = await check('web1');
  expect(down.found).toContain('serious http');
  expect(down.said).toContain('ServerFindingResolved restart');

  await on(
    web1,
    `systemctl disable -q takes-away; rm /etc/systemd/system/takes-away.service
mv /root/${id}.conf /etc/nginx/chom.d/ && systemctl reload nginx`,
  );
  expect(await check('web1')).toMatchObject({ exit: 0, found: [] });
});
