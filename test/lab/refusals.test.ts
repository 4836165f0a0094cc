import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { poll } from '../../lab/poll.js';
import { type Request, submit } from '../../src/client/submit.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as servers from '../../src/inventory/servers.js';
import { waitsOf } from '../workflows/timers.js';
import { holdPublishing } from './held.js';
import { hostTree, sshConnections } from './host-tree.js';
import { newSite } from '../client/new-site-words.js';
import { type Rig, startRig } from './rig.js';
import type { Running } from './rig-command.js';

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ hosts: [{ name: 'web1' }], acme: true });
  await rig.startWorker();
  await rig.enrol(rig.lab.host('web1'));
  await rig.chom.must('site', 'create', 'first.lab.test', '--server', 'web1', '--no-tls');
});
afterAll(async () => await rig?.down());

describe('what is wrong is refused before any host is touched', () => {
  test('[PS-06] on the command line: no operation, no connection, nothing changed', async () => {
    const host = rig.lab.host('web1');
    // A worker that has no connection open yet.
    await rig.killWorker();
    await rig.startWorker();
    const [tree, seen] = [await hostTree(host, { times: true }), await sshConnections(host)];
    const known = (await operations.list(rig.inventory.db)).length;
    const wrong = [
      newSite('wrong.lab.test', '--type', 'wordpress-2'),
      newSite('wrong.lab.test', '--type', 'php', '--php', '5.6'),
      newSite('wrong.lab.test', '--type', 'php', '--php', '8.1'),
      newSite('wrong_domain.$(reboot).test'),
      newSite(`${'a'.repeat(300)}.lab.test`),
      newSite(''),
    ];
    for (const words of wrong) {
      const { exit, json } = await rig.chom(...words, '--json');
      expect([words, exit, json?.error?.type]).toEqual([words, 2, 'InvalidInput']);
    }
    expect(await operations.list(rig.inventory.db)).toHaveLength(known);
    expect(await sshConnections(host)).toBe(seen);
    expect(await hostTree(host, { times: true })).toEqual(tree);
  });

  test.each([
    ['a PHP version that the server lacks', { type: 'php', php: '8.1' }],
    ['an unknown type', { type: 'wordpress-2' }],
    ['a domain that is none', { domain: 'wrong_domain.$(reboot)' }],
  ])('[PS-06] [FS-05] past the command line: %s fails the operation, once, with its events', async (_, wrong) => {
    const host = rig.lab.host('web1');
    const seen = await sshConnections(host);
    const operation = await submit(rig, await request(wrong));
    const { exit, json } = await rig.chom('op', 'watch', operation, '--json');
    expect(exit).toBe(1);
    expect(json?.error).toMatchObject({ type: 'InvalidInput' });
    expect(await sshConnections(host)).toBe(seen);
    const emitted = await events.list(rig.inventory.db, { operation });
    expect(emitted.map(({ type }) => type)).toEqual(['SiteProvisioningFailed', 'Alert']);
    expect(waitsOf(await rig.replayed(operation), 180)).toEqual([]);
  });
});

describe('while another operation is at work', () => {
  const held = async <Result>(fn: () => Promise<Result>) => await holdPublishing(rig.lab.host('web1'), fn);

  test('who comes second and may not wait gets status 11 and is told who holds the site, and the server', async () => {
    await rig.lab.acme.setAddress('first.lab.test', { a: [rig.lab.host('web1').address] });
    const holder = await held(async () => {
      const asked = await rig.chom('certificate', 'issue', 'first.lab.test', '--detach', '--json');
      const id = asked.json?.operation ?? '';
      const second = await rig.chom('certificate', 'issue', 'first.lab.test', '--no-wait', '--json');
      expect(second.exit).toBe(11);
      expect(second.json?.error).toMatchObject({ type: 'Busy', next: `chom op watch ${id}` });
      const { address, keyFile } = rig.lab.host('web1');
      const login = ['--host', address, '--key', keyFile];
      const enrolment = await rig.chom('server', 'add', 'web1', ...login, '--no-wait', '--json');
      expect(enrolment.exit).toBe(11);
      expect(enrolment.stderr).toContain(id);
      return id;
    });
    expect(await rig.chom('op', 'watch', holder, '--json')).toMatchObject({ exit: 0, json: { status: 'succeeded' } });
  });

  test('[QC-03] who waits is told what it waits for; --timeout ends the waiting with 124, Ctrl-C with 130', async () => {
    const [late, left] = await held(async () => {
      const timed = await rig.chom(...newSite('late.lab.test', '--timeout', '3', '--json'));
      expect(timed).toMatchObject({ exit: 124, json: { status: 'running' } });
      const running = rig.chom.start(...newSite('left.lab.test', '--json'));
      await poll('it publishes', 60_000, async () => running.said().stderr.includes('▶ Publish the site'));
      const interrupted = await leave(running);
      expect(interrupted).toMatchObject({ exit: 130, json: { status: 'running' } });
      expect(interrupted.stderr).toContain(`chom op watch ${interrupted.json?.operation}`);
      return [timed.json?.operation ?? '', interrupted.json?.operation ?? ''];
    });
    for (const operation of [late, left]) {
      expect(await rig.chom('op', 'watch', operation, '--json')).toMatchObject({
        exit: 0,
        json: { status: 'succeeded' },
      });
    }
    const { address } = rig.lab.host('web1');
    expect((await rig.fetch('left.lab.test', { address, https: false })).status).toBe(200);
  });
});

describe('status 12', () => {
  test('without a worker: it says so, and the operation is done once there is one', async () => {
    await rig.stopWorker();
    const { exit, stderr, json } = await rig.chom(...newSite('patient.lab.test', '--json'));
    expect(exit).toBe(12);
    expect(json).toMatchObject({ status: 'running', error: { type: 'NoWorker' } });
    expect(stderr).toContain('chom worker');
    await rig.startWorker();
    const watched = await rig.chom('op', 'watch', json?.operation ?? '', '--json');
    expect(watched).toMatchObject({ exit: 0, json: { status: 'succeeded' } });
  });

  test('without Temporal: nothing is written', async () => {
    const known = (await operations.list(rig.inventory.db)).length;
    const { exit, stderr } = await rig.chom.within({ TEMPORAL_ADDRESS: '127.0.0.1:9' })(...newSite('none.lab.test'));
    expect(exit).toBe(12);
    expect(stderr).toContain('127.0.0.1:9');
    expect(await operations.list(rig.inventory.db)).toHaveLength(known);
  });
});

test('what does not exist gets status 5', async () => {
  expect((await rig.chom('site', 'show', 'nothing.lab.test')).exit).toBe(5);
  expect((await rig.chom('op', 'watch', 'provision-site-aaaaaaaaaaaa')).exit).toBe(5);
  expect((await rig.chom('site', 'create', 'x.lab.test', '--server', 'web9')).exit).toBe(5);
});

async function leave(running: Running) {
  running.process.kill('SIGINT');
  return await running.ended;
}

let asked = 0;

/** A request as another program would make it, with something wrong in it. */
async function request(wrong: object): Promise<Request> {
  const { id: server } = await servers.byName(rig.inventory.db, 'default', 'web1');
  const site = `swrongaaa${'abcdefgh'[asked++]}`;
  const common = { tenant: 'default', server, serverName: 'web1', domain: `${site}.lab.test` };
  const plan = { site, aliases: [], type: 'static', php: null, tls: false, source: { kind: 'placeholder' } };
  return { kind: 'provision-site', input: { ...common, ...plan, ...wrong }, summary: 'A site', ...common, site };
}
