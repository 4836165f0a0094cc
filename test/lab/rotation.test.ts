import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { sh } from '../../src/host/shell.js';
import * as credentials from '../../src/inventory/credentials.js';
import * as events from '../../src/inventory/events.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import { waitsOf } from '../workflows/timers.js';
import { rawHistories, readable, unsealed } from './histories.js';
import { ask } from './on-host.js';
import { type Rig, startRig } from './rig.js';
import { serverKeys } from './server-keys.js';
import { eventsOf, killAll, killAfter, stepsDone } from './storm.js';
import { type Told, toldOf } from './told.js';

/** Of the clock that watches for twice the expected time. */
const CLOCK = 600;

let rig: Rig;
let told: Told;
let [web1, web2, web3]: LabHost[] = [];
const keysOf = new Map<string, ReturnType<typeof serverKeys>>();
const keys = (name: string) => keysOf.get(name) ?? serverKeys(rig, rig.lab.host(name));
/** Whole private and public keys that there were. */
const held = new Map<string, string[]>();
/** Of the server that nobody reaches, and of the one that is back after the first attempt. */
let [timesOut, comesBack] = ['', ''];
beforeAll(async () => {
  rig = await startRig({ hosts: ['web1', 'web2', 'web3'].map((name) => ({ name })) });
  [web1, web2, web3] = ['web1', 'web2', 'web3'].map((name) => rig.lab.host(name));
  for (const name of ['web1', 'web2', 'web3']) keysOf.set(name, serverKeys(rig, rig.lab.host(name)));
  await rig.startWorker();
  told = await toldOf(rig);
  const enrol = async (host = web1) => void (host && (await rig.enrol(host, '--smtp-relay', '127.0.0.1')));
  await enrol(web3);
  await web3?.cut();
  timesOut = await asked('web3');
  await Promise.all([enrol(web1), enrol(web2)]);
  await web2?.cut();
  comesBack = await asked('web2');
});
afterAll(async () => {
  await rig?.down();
  await told?.close();
});

interface Rotated {
  server: string;
  operation: string;
  status: string;
  key: string;
  replaced: string;
  error?: { type: string };
}
const row = async (id: string) => await operations.byId(rig.inventory.db, id);
/** Rotates as an operator does, and says what came of it. */
async function rotate(...words: string[]): Promise<{ exit: number | null; stderr: string; rotated: Rotated[] }> {
  const { exit, stderr, json } = await rig.chom('secrets', 'rotate', ...words, '--json');
  return { exit, stderr, rotated: (json as unknown as { rotated?: Rotated[] } | undefined)?.rotated ?? [] };
}
async function asked(server: string, ...words: string[]): Promise<string> {
  const { rotated, stderr } = await rotate('--server', server, '--detach', ...words);
  const [first] = rotated;
  if (!first) throw new Error(stderr);
  return first.operation;
}
/** Keeps what gives each key of a server away, for these go. */
async function note(server: string): Promise<void> {
  for (const key of await keys(server).all()) {
    const [, blob = ''] = (key.public ?? '').split(' ');
    const lines = credentials.open(key, rig.keyring).toString('latin1').split('\n').slice(2, -2);
    // What all such keys begin with is no part of one.
    held.set(key.id, [blob.slice(25), ...lines]);
  }
}
/** How often each attempt of a step failed, and what was waited for between them. */
async function attemptsOf(operation: string): Promise<{ failed: number; waits: number[] }> {
  const history = await rig.replayed(operation);
  const failed = (history.events ?? []).filter((event) => event.activityTaskFailedEventAttributes);
  return { failed: failed.length, waits: waitsOf(history, CLOCK) };
}

test('[RC-01] [RC-04] [RC-05] [FS-15] [RS-05] the old key gets in until the new one is proven and the overlap is over', async () => {
  const { db } = rig.inventory;
  const here = keys('web1');
  const old = await here.current();
  // As operators leave the file: options before CHOM's key, lines of theirs, the last one not ended.
  const foreign = [
    '# keep ssh-ed25519 AAAA',
    '',
    'no-pty,command="echo \\"x, y\\"" ssh-ed25519 AAAAC3Nza someone@else',
  ];
  const options = 'from="198.18.0.0/15,127.0.0.1",no-agent-forwarding';
  const theirs = (await here.file()).split('\n').filter((line) => line !== '' && line !== old.public);
  const before = [...foreign, ...theirs, `${options} ${old.public}`, '# last'];
  await ask(web1!, sh`printf %s ${before.join('\n')} >/root/.ssh/authorized_keys`);

  const { exit, stderr, rotated } = await rotate('--server', 'web1');
  expect(exit, stderr).toBe(0);
  const rotation = rotated[0]?.operation ?? '';
  expect(await row(rotation)).toMatchObject({ outcome: 'succeeded', committed: true, warnings: [], priority: 'high' });
  await note('web1');
  const current = await here.current();
  expect(current.id).not.toBe(old.id);
  expect(await here.file()).toBe(`${before.join('\n')}\n${options} ${current.public}\n`);
  const done = await stepsDone(rig, rotation);
  expect(done.indexOf('proveNextServerKey')).toBeLessThan(done.indexOf('adoptNextServerKey'));
  expect(await here.getsIn(current)).toBe(true);
  expect(await here.getsIn(old)).toBe(true);
  expect(await eventsOf(rig, rotation)).toEqual(['CredentialsRotated']);

  // A day later. Were the controller lost now, its backups would know the old key alone.
  const owed = { operation: rotation, name: 'old-key' };
  const early = await here.retire(rotation);
  expect(await row(early)).toMatchObject({ outcome: 'failed', failureType: 'NotBackedUp', warnings: [] });
  expect(await eventsOf(rig, early)).toEqual(['CredentialsRetirementFailed', 'Alert']);
  expect(await obligations.find(db, owed)).toMatchObject({ state: 'open', tries: 1 });
  expect(await here.getsIn(old)).toBe(true);

  await rig.chom.must('backup', 'database');
  const retired = await here.retire(rotation);
  expect(await row(retired)).toMatchObject({ outcome: 'succeeded', committed: true, warnings: [] });
  expect(await obligations.find(db, owed)).toMatchObject({ state: 'done' });
  const left = before.filter((line) => !line.endsWith(old.public ?? ''));
  expect(await here.file()).toBe(`${left.join('\n')}\n${options} ${current.public}\n`);
  expect(await here.getsIn(current)).toBe(true);
  expect(await here.getsIn(old)).toBe(false);
  expect((await here.all()).map(({ id }) => id)).toEqual([current.id]);
  expect(await ask(web1!, sh`ls /var/lib/chom/recovery`)).toBe(`${current.id.replaceAll('/', '-')}\n`);
  const [gone] = await events.list(db, { operation: retired });
  expect(gone).toMatchObject({ type: 'CredentialsRetired', data: { keys: [rotated[0]?.replaced] } });
  for (const operation of [rotation, early, retired]) await rig.replayed(operation);
});

test('[FS-16] on a network that fails it is tried again after the pause', async () => {
  await poll('the first attempt has failed', 120_000, async () => {
    const { events: recorded } = await rig.temporal.workflow.getHandle(comesBack).fetchHistory();
    return (recorded ?? []).some((event) => event.activityTaskFailedEventAttributes);
  });
  await web2?.mend();
  await rig.chom.must('op', 'watch', comesBack);
  expect(await row(comesBack)).toMatchObject({ outcome: 'succeeded', warnings: [] });
  expect(await attemptsOf(comesBack)).toEqual({ failed: 1, waits: [30] });
});

test('[RC-06] a new key that does not get in is withdrawn, and the old one is as it was', async () => {
  const here = keys('web2');
  const [before, old] = [await here.file(), await here.current()];
  // sshd goes by another file, in which the old keys are.
  const file = '/etc/ssh/sshd_config.d/00-elsewhere.conf';
  const reload = 'systemctl reload ssh';
  await web2?.exec(
    `cp /root/.ssh/authorized_keys /etc/ssh/elsewhere && echo 'AuthorizedKeysFile /etc/ssh/elsewhere' >${file} && ${reload}`,
  );
  const { exit, rotated } = await rotate('--server', 'web2');
  expect(exit).toBe(1);
  const [{ operation = '', error } = {}] = rotated as Partial<Rotated>[];
  expect(error).toMatchObject({ type: 'LoginRefused' });
  expect(await row(operation)).toMatchObject({ outcome: 'failed', committed: false, warnings: [] });
  expect(await attemptsOf(operation)).toEqual({ failed: 1, waits: [] });
  await web2?.exec(`rm ${file} && ${reload}`);
  expect(await here.file()).toBe(before);
  expect(await here.current()).toEqual(old);
  expect((await here.all()).filter(({ state }) => state === 'next')).toEqual([]);
  expect(await here.getsIn(old)).toBe(true);
  expect(await eventsOf(rig, operation)).toEqual(['CredentialsRotationFailed', 'Alert']);
});

test('[FS-13] [RC-02] where SSH times out it is tried three times, 30 s apart, and then fails', async () => {
  const { exit } = await rig.chom('op', 'watch', timesOut);
  expect(exit).toBe(1);
  expect(await row(timesOut)).toMatchObject({ outcome: 'failed', warnings: [] });
  expect(await attemptsOf(timesOut)).toEqual({ failed: 3, waits: [30, 30] });
  await web3?.mend();
});

test('[FS-14] [RC-07] [RS-07] [RS-08] [RS-09] all that are due are rotated; one that refuses us is said to, loudly and once', async () => {
  const { db } = rig.inventory;
  const here = keys('web3');
  const [before, old] = [await here.file(), await here.current()];
  await ask(web3!, sh`echo '# none of CHOM' >/root/.ssh/authorized_keys`);
  const refusals = sh`journalctl -q -b -t sshd-session -t sshd -g 'authenticating user root' | wc -l`;
  const counted = Number(await ask(web3!, refusals));
  const longAgo = new Date(Date.now() - 91 * 24 * 3_600_000).toISOString();
  await rig.inventory.transaction(async (trx) => {
    await trx.updateTable('credentials').set({ createdAt: longAgo }).where('state', '=', 'current').execute();
  });
  const { exit, stderr, rotated } = await rotate('--all');
  expect(exit).toBe(3);
  expect(stderr).toMatch(/Rotating 1 of 3: web1[^]*Rotating 2 of 3: web2[^]*Rotating 3 of 3: web3/);
  expect(stderr).toMatch(/Not rotated:\nSERVER +WHY +NEXT\nweb3 .*refuses the key for root.*\n$/);
  expect(rotated.map(({ server, status }) => `${server} ${status}`)).toEqual([
    ...['web1 succeeded', 'web2 succeeded', 'web3 failed'],
  ]);
  const operation = rotated[2]?.operation ?? '';
  expect(await row(operation)).toMatchObject({ outcome: 'failed', failureType: 'LoginRefused' });
  expect(await attemptsOf(operation)).toEqual({ failed: 1, waits: [] });
  expect(Number(await ask(web3!, refusals)) - counted).toBe(1);
  const emitted = await events.list(db, { operation });
  expect(emitted.map(({ type, data }) => [type, data['severity'], data['area']])).toEqual([
    ['CredentialsRotationFailed', 'critical', undefined],
    ['Alert', 'critical', 'security'],
  ]);
  const log = (await rig.workerLog()).split('\n').filter((line) => line.includes(operation));
  expect(log.some((line) => line.includes('"level":60'))).toBe(true);
  await ask(web3!, sh`printf %s ${before} >/root/.ssh/authorized_keys`);
  expect(await here.getsIn(old)).toBe(true);
  // Only that one is due still.
  const { json } = await rig.chom.must('secrets:rotate', '--all', '--dry-run', '--json');
  expect(json).toMatchObject({ due: [{ server: 'web3', daysLate: 1 }] });
  // As after the controller was broken into: whether it is due or not, and no old key is let in a day longer.
  const forced = await rotate('--all', '--force', '--emergency');
  expect(forced.rotated.map(({ server, status }) => `${server} ${status}`)).toEqual(
    // Whose key is the oldest comes first.
    ['web3', 'web1', 'web2'].map((name) => `${name} succeeded`),
  );
  expect(forced.exit).toBe(0);
  expect(await here.getsIn(old)).toBe(false);
});

describe('a rotation that is cancelled', () => {
  /** Who is not logged in yet gets no connection. */
  const gate = [
    'nft add table inet gate',
    "nft add chain inet gate early '{ type filter hook prerouting priority -300; }'",
  ];
  const closed = "nft add rule inet gate early tcp dport 22 'tcp flags & (syn | ack) == syn' drop";

  test('before the new key is the current one is taken back, and the old one is as it was', async () => {
    const here = keys('web2');
    const [before, old] = [await here.file(), await here.current()];
    // By the connection that is open then all is done but the proof.
    await rig.chom.must('server', 'doctor', 'web2');
    expect(await web2?.exec([...gate, closed].join(' && '))).toMatchObject({ exit: 0 });
    const operation = await asked('web2');
    const added = async () => (await stepsDone(rig, operation)).includes('addNextServerKey');
    await poll('the new key has been added', 120_000, added);
    expect(await here.file()).not.toBe(before);
    await rig.chom.must('op', 'cancel', operation);
    expect((await rig.chom('op', 'watch', operation, '--json')).json).toMatchObject({ status: 'cancelled' });
    await web2?.exec('nft delete table inet gate');
    expect(await row(operation)).toMatchObject({ outcome: 'cancelled', committed: false, warnings: [] });
    expect(await eventsOf(rig, operation)).toEqual([]);
    expect(await here.file()).toBe(before);
    expect(await here.current()).toEqual(old);
    expect((await here.all()).filter(({ state }) => state === 'next')).toEqual([]);
    expect(await here.getsIn(old)).toBe(true);
    await rig.replayed(operation);
  });

  test('after that goes on: the new key is the current one, and what is left of the old one is owed', async () => {
    const here = keys('web2');
    const old = await here.current();
    const operation = await asked('web2', '--emergency');
    await note('web2');
    await killAfter(rig, operation, 'adoptNextServerKey');
    await rig.chom.must('op', 'cancel', operation);
    await rig.startWorker();
    await rig.chom('op', 'watch', operation);
    await note('web2');
    expect(await row(operation)).toMatchObject({ outcome: 'succeeded', committed: true });
    expect((await row(operation)).warnings.length).toBeGreaterThan(0);
    const current = await here.current();
    expect(current.id).not.toBe(old.id);
    expect(await here.getsIn(current)).toBe(true);
    await rig.replayed(operation);
    const retired = await here.retire(operation);
    expect(await row(retired)).toMatchObject({ outcome: 'succeeded', warnings: [] });
    expect(await here.getsIn(old)).toBe(false);
    const left = await here.taken();
    expect([left.includes(current.id), left.includes(old.id)]).toEqual([true, false]);
  });
});

test('[CH-01/rotate-credentials] ends as an uninterrupted run would, with the worker killed after every step, and at each the current key gets in', async () => {
  const { db } = rig.inventory;
  const here = keys('web1');
  const left = async () => ({ taken: (await here.taken()).length, held: (await here.all()).map(({ state }) => state) });
  const calm = (await rotate('--server', 'web1', '--emergency')).rotated[0]?.operation ?? '';
  expect(await left()).toEqual({ taken: 1, held: ['current'] });
  const gotIn: boolean[] = [];
  const again = async () => await asked('web1', '--emergency');
  const made = await killAll(rig, { rotate: calm }, again, [], async () => {
    await note('web1');
    gotIn.push(await here.getsIn(await here.current()));
  });
  expect(gotIn.length).toBeGreaterThan(9);
  expect(gotIn).not.toContain(false);
  for (const { operation } of made) {
    expect(await row(operation)).toMatchObject({ outcome: 'succeeded', warnings: [], committed: true });
    expect(await eventsOf(rig, operation)).toEqual(['CredentialsRotated', 'CredentialsRetired']);
    expect(await places.find(db, operation)).toBeNull();
    await rig.replayed(operation);
  }
  expect(await left()).toEqual({ taken: 1, held: ['current'] });
}, 900_000);

test('[RC-08] no history holds any part of a key', async () => {
  const histories = await rawHistories(rig);
  const all = `${readable(histories)}\n${unsealed(histories, rig)}`;
  expect(all).toContain('overlapHours');
  expect(held.size).toBeGreaterThan(3);
  expect([...held].filter(([, parts]) => parts.some((part) => all.includes(part))).map(([id]) => id)).toEqual([]);
});

test('[EV-01/CredentialsRotated] [EV-01/CredentialsRotationFailed] [EV-01/webhooks] a webhook was told of each once, in order', async () => {
  expect(await told.all()).toEqual(expect.arrayContaining(['CredentialsRotated', 'CredentialsRotationFailed']));
});
