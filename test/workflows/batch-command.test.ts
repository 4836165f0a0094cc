import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Connection } from '@temporalio/client';
import { addSearchAttributes } from '../../src/client/temporal-server.js';
import * as batchItems from '../../src/inventory/batch-items.js';
import * as batches from '../../src/inventory/batches.js';
import * as operations from '../../src/inventory/operations.js';
import * as sites from '../../src/inventory/sites.js';
import { failure } from '../../src/workflows/failures.js';
import { SEARCH_ATTRIBUTES } from '../../src/workflows/names.js';
import { startFollowing, until, type Following } from './following.js';

let following: Following;
beforeAll(async () => {
  following = await startFollowing();
});
afterAll(async () => await following?.close());
afterEach(async () => await following.stopWorker());

async function file(name: string, text: string): Promise<string> {
  const path = join(following.chom.config.home, `${name}.yaml`);
  await writeFile(path, text);
  return path;
}
const create = (...domains: string[]) =>
  domains
    .map((domain) => `  - { verb: site.create, site: ${domain}, server: web1, options: { tls: false } }`)
    .join('\n');
const batchOf = async (name: string) => await batches.find(following.chom.inventory.db, 'default', name);

test('a batch that succeeded in part ends with 3, names what failed, and retries that alone', async () => {
  await following.startWorker();
  following.fails.set('b.part.example', failure('ConfigurationRejected', 'nginx refuses the site'));
  const path = await file(
    'part',
    `name: part\nconcurrency: 2\noperations:\n${create('a.part.example', 'b.part.example', 'c.part.example')}`,
  );
  const ran = await following.run('batch', 'run', path, '--json');
  expect(ran.status).toBe(3);
  const { id } = await batchOf('part');
  expect(JSON.parse(ran.stdout)).toMatchObject({
    ...{ batch: id, kind: 'batch', name: 'part', status: 'partly', total: 3, succeeded: 2, failed: 1, pending: 0 },
    notDone: [
      {
        ...{ item: '2', verb: 'site.create', target: 'b.part.example', operation: `${id}/2`, status: 'failed' },
        error: { type: 'ConfigurationRejected', message: 'nginx refuses the site' },
      },
    ],
  });
  expect(ran.stderr).toMatch(/^✔ 1 site\.create a\.part\.example \(\d+\.\d s\)$/m);
  expect(ran.stderr).toContain(`✘ 2 site.create b.part.example — failed`);
  expect(ran.stderr).toContain('Next: chom batch retry part --only-failed');
  expect(await following.run('op', 'show', `${id}/2`)).toMatchObject({ status: 0 });

  following.fails.clear();
  expect(await following.run('batch', 'retry', 'part')).toMatchObject({ status: 2 });
  const again = await following.run('batch', 'retry', 'part', '--only-failed', '--json');
  expect(again.status).toBe(0);
  expect(JSON.parse(again.stdout)).toMatchObject({ status: 'succeeded', round: 2, succeeded: 3, notDone: [] });
  const { db } = following.chom.inventory;
  expect(await operations.find(db, `${id}/1-2`)).toBeNull();
  expect(await operations.byId(db, `${id}/1`)).toMatchObject({ priority: 'low' });
  expect(await sites.byDomain(db, 'b.part.example')).toMatchObject({ status: 'active', createdBy: `${id}/2-2` });
});

test('a batch of whatever has a tag', async () => {
  await following.startWorker();
  const made = await file('made', `name: made\noperations:\n${create('a.tagged.example', 'b.tagged.example')}`);
  expect(await following.run('batch', 'run', made)).toMatchObject({ status: 0 });
  expect(await following.run('site', 'tag', 'add', 'b.tagged.example', 'secured')).toMatchObject({ status: 0 });
  const select = '{ verb: certificate.issue, select: { tag: secured } }';
  const path = await file('secured', `name: secured\noperations:\n  - ${select}`);
  const ran = await following.run('batch', 'run', path, '--json');
  expect(ran.status, ran.stderr).toBe(0);
  expect(JSON.parse(ran.stdout)).toMatchObject({ total: 1, succeeded: 1 });
  const { id } = await batchOf('secured');
  const items = await batchItems.list(following.chom.inventory.db, id);
  expect(items.map(({ target }) => target)).toEqual(['b.tagged.example']);
});

test('a batch may begin later', async () => {
  await following.startWorker();
  const path = await file('later', `name: later\noperations:\n${create('a.later.example')}`);
  const asked = await following.run('batch', 'run', path, '--in', '3s', '--priority', 'high', '--json');
  expect(asked.status).toBe(0);
  const { id, startsAt } = await batchOf('later');
  expect(asked.stderr).toContain(`It begins at ${startsAt}`);
  await until('it has ended', async () => (await batchOf('later')).outcome === 'succeeded');
  const { priority, askedAt } = await operations.byId(following.chom.inventory.db, `${id}/1`);
  expect(priority).toBe('high');
  expect(askedAt >= (startsAt ?? '9')).toBe(true);
});

test('a batch of which nothing succeeded ends with 1', async () => {
  await following.startWorker();
  following.fails.set('a.bad.example', failure('ConfigurationRejected', 'nginx refuses the site'));
  const path = await file('bad', `name: bad\noperations:\n${create('a.bad.example')}`);
  expect(await following.run('batch', 'run', path)).toMatchObject({ status: 1 });
});

test('[JC-10] batches have names, and are listed by name with how far they are', async () => {
  await following.startWorker();
  const release = following.hold('b.named.example');
  const domains = ['a.named.example', 'b.named.example', 'c.named.example'];
  const path = await file('named', `name: fleet\ncanary: 1\noperations:\n${create(...domains)}`);
  expect(await following.run('batch', 'run', path, '--detach')).toMatchObject({ status: 0 });
  // Of one name one is at work.
  expect(await following.run('batch', 'run', path, '--detach')).toMatchObject({ status: 1 });
  const watching = following.start('batch', 'watch', 'fleet', '--json');
  await until('it waits for approval', async () => (await batchOf('fleet')).pausedBy === 'approval');
  const listed = await following.run('batch', 'list', '--name', 'fleet');
  expect(listed.stdout).toMatch(/^fleet +batch +paused +1 of 3 done +\S+Z +batch-[a-z2-7]{12}$/m);
  await until('it is told', () => watching.stderr.includes('Go on with: chom batch approve fleet'));
  expect(await following.run('batch', 'approve', 'fleet')).toMatchObject({ status: 0 });
  await until('one is at work', async () =>
    (await following.run('batch', 'list', '--running')).stdout.includes('2 of 3 done, 1 at work'),
  );
  const shown = await following.run('batch', 'show', 'fleet');
  expect(shown.stdout).toMatch(/^▶ 2 site\.create b\.named\.example$/m);
  release();
  expect(await watching.ended).toBe(0);
  const { stdout } = await following.run('batch', 'list', '--name', 'fleet', '--json');
  expect(JSON.parse(stdout)).toMatchObject({
    batches: [{ name: 'fleet', status: 'succeeded', total: 3, succeeded: 3 }],
  });
  expect(await following.run('batch', 'pause', 'fleet')).toMatchObject({ status: 1 });
});

test('a batch of another name rests, goes on, and is cancelled: what has not begun never does', async () => {
  await following.startWorker();
  const domains = ['a', 'b', 'c', 'd'].map((one) => `${one}.resting.example`);
  const releases = domains.map((domain) => following.hold(domain));
  const path = await file('resting', `name: resting\nconcurrency: 1\noperations:\n${create(...domains)}`);
  expect(await following.run('batch', 'run', path, '--name', 'rested', '--detach')).toMatchObject({ status: 0 });
  const progress = async () => (await following.run('batch', 'list', '--running')).stdout;
  const done = async (count: number) => (await progress()).includes(`${count} of 4 done`);
  await until('the first is at work', async () => (await progress()).includes('1 at work'));
  expect(await following.run('batch', 'pause', 'rested')).toMatchObject({ status: 0 });
  releases[0]?.();
  await until('the first is done', async () => await done(1));
  expect(await progress()).toMatch(/^rested +batch +paused +1 of 4 done +\S+Z/m);

  expect(await following.run('batch', 'resume', 'rested')).toMatchObject({ status: 0 });
  await until('the second is at work', async () => (await progress()).includes('1 at work'));
  const { id } = await batchOf('rested');
  expect(await operations.find(following.chom.inventory.db, `${id}/3`)).toBeNull();
  expect(await following.run('batch', 'cancel', 'rested')).toMatchObject({ status: 0 });
  releases[1]?.();
  await until('it has ended', async () => (await batchOf('rested')).outcome === 'cancelled');
  const { stdout } = await following.run('batch', 'show', 'rested', '--failed', '--json');
  const { items } = JSON.parse(stdout) as { items: { target: string; status: string }[] };
  // What was at work may have been done before it heard of it.
  const never = items.filter(({ target }) => target !== domains[1]);
  expect(never.map(({ target, status }) => ({ target, status }))).toEqual(
    domains.slice(2).map((target) => ({ target, status: 'cancelled' })),
  );
  expect(await operations.find(following.chom.inventory.db, `${id}/4`)).toBeNull();
});

test('a file of which anything is wrong starts nothing, and each line is named', async () => {
  const text = `name: wrong
operations:
${create('new.example')}
  - { verb: backup.create, site: nowhere.example }
  - { verb: backup.make, site: nowhere.example }
  - { verb: site.create, site: other.example, server: web9 }
`;
  const { inventory } = following.chom;
  const before = (await operations.list(inventory.db)).length;
  const ran = await following.run('batch', 'run', await file('wrong', text));
  expect(ran.status).toBe(2);
  for (const said of ['line 4', 'nowhere.example', 'line 5', 'backup.make', 'line 6', 'web9'])
    expect(ran.stderr).toContain(said);
  expect(ran.stderr).not.toContain('line 3');
  expect(await batches.list(inventory.db, { name: 'wrong' })).toEqual([]);
  expect((await operations.list(inventory.db)).length).toBe(before);
});

describe('a named task queue', () => {
  const onQueue = async (ids: string[]) => {
    const temporal = await following.chom.temporal();
    const about = await Promise.all(ids.map(async (id) => await temporal.workflow.getHandle(id).describe()));
    return about.map(({ taskQueue }) => taskQueue);
  };

  test('[JC-03] has a chain run on it, [JC-11] and a batch, with all their operations', async () => {
    // No other queue is served.
    await following.startWorker({ taskQueue: 'nightly' });
    for (const kind of ['chain', 'batch']) {
      const domains = [`a.${kind}.example`, `b.${kind}.example`];
      const path = await file(kind, `name: queued-${kind}\ntaskQueue: nightly\noperations:\n${create(...domains)}`);
      expect(await following.run(kind, 'run', path)).toMatchObject({ status: 0 });
      const { id } = await batchOf(`queued-${kind}`);
      expect(await onQueue([id, `${id}/1`, `${id}/2`])).toEqual(['nightly', 'nightly', 'nightly']);
      expect(await operations.byId(following.chom.inventory.db, `${id}/1`)).toMatchObject({ taskQueue: 'nightly' });
    }
  });
});

test('[JC-12] a batch runs through a named connection', async () => {
  const namespace = 'staging';
  const temporal = await following.chom.temporal();
  await temporal.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
  });
  const names = Object.values(SEARCH_ATTRIBUTES).map(({ name }) => name);
  await until('the namespace', async () => {
    return await addSearchAttributes(temporal.connection as Connection, namespace, names).then(
      () => true,
      () => false,
    );
  });
  await following.startWorker({ namespace });
  const settings = join(following.chom.config.home, 'temporal.toml');
  const address = temporal.address;
  await writeFile(settings, `[profile.staging]\naddress = "${address}"\nnamespace = "${namespace}"\n`);
  const path = await file('profile', `name: through\noperations:\n${create('a.profile.example')}`);
  const elsewhere = { TEMPORAL_CONFIG_FILE: settings, TEMPORAL_ADDRESS: undefined };
  const running = following.startWith(elsewhere, '--profile', 'staging', 'batch', 'run', path, '--json');
  expect(await running.ended).toBe(0);
  const { id, namespace: at } = await batchOf('through');
  expect(at).toBe(namespace);
  expect(await operations.byId(following.chom.inventory.db, `${id}/1`)).toMatchObject({
    namespace,
    outcome: 'succeeded',
  });
  // The file may say it, too, and one that says another than the command is refused.
  const own = await file('own', `name: own\nprofile: staging\noperations:\n${create('b.profile.example')}`);
  expect(await following.startWith(elsewhere, 'batch', 'run', own).ended).toBe(0);
  expect(await batchOf('own')).toMatchObject({ namespace, outcome: 'succeeded' });
  expect(await following.startWith(elsewhere, '--profile', 'other', 'batch', 'run', own).ended).toBe(2);
});
