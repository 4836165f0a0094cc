import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseBatchFile } from '../../src/client/batch-file.js';
import type { NewBatch } from '../../src/client/batch-schema.js';
import { batchVerb } from '../../src/client/batch-verbs.js';
import type { Chom } from '../../src/client/open.js';
import { planBatch } from '../../src/client/plan-batch.js';
import { addTenant } from '../../src/client/tenant.js';
import * as sites from '../../src/inventory/sites.js';
import * as tags from '../../src/inventory/tags.js';
import { failureOf } from '../inventory/databases.js';
import { addServer, addSite, rowCounts, startCommandLine, type CommandLine } from './command-line.js';

let line: CommandLine;
let chom: Chom;
let site = '';
beforeAll(async () => {
  line = await startCommandLine();
  const web1 = await addServer(line, 'web1');
  const web2 = await addServer(line, 'web2');
  await addTenant(line.stores, 'other');
  await addServer(line, 'theirs', [], 'other');
  site = await addSite(line, web1, 'a.example', ['www.a.example']);
  await addSite(line, web1, 'b.example');
  await addSite(line, web2, 'c.example');
  const temporal = async () => await Promise.reject(new Error('nobody is asked'));
  chom = { ...line.stores, tenant: 'default', temporal, close: async () => {} };
});
afterAll(async () => await line.close());

const plan = async (operations: NewBatch['operations'], more: Partial<NewBatch> = {}) =>
  await planBatch(chom, 'batch', { name: 'test', operations, ...more });
const targets = async (...operations: NewBatch['operations']) =>
  (await plan(operations)).items.map(({ target }) => target);

describe('a file', () => {
  test('says all that a batch is, and for whom and through which Temporal', () => {
    const { wanted, tenant, profile } = parseBatchFile(
      'batch',
      `name: nightly
tenant: acme
profile: production
concurrency: 5
perServer: 2
canary: 3
wait: 10m
failureThreshold: 10%
priority: high
taskQueue: nights
operations:
  - verb: certificate.issue
    select: { server: [web1, web2], type: static }
then: { verb: site.repair, site: a.example }
finally:
  - { verb: site.repair, site: b.example }
`,
    );
    expect({ tenant, profile }).toEqual({ tenant: 'acme', profile: 'production' });
    expect(wanted).toMatchObject({
      name: 'nightly',
      canary: 3,
      wait: '10m',
      failureThreshold: '10%',
      taskQueue: 'nights',
    });
  });

  test.each([
    ['name: x\noperations: [', 'Line 2 is no YAML'],
    ['- a\n- b', 'The file is no batch'],
    ['', 'The file is no batch'],
    ['name: x\noperations: []', 'line 2'],
    ['name: Not A Name\noperations:\n  - { verb: site.repair, site: a.example }', 'line 1 (name)'],
    [
      'name: x\noperations:\n  - { verb: site.repair, site: a.example }\n  - { vreb: site.repair }',
      'line 4 (operations.1',
    ],
    ['name: x\nconcurrency: 0\noperations:\n  - { verb: site.repair, site: a.example }', 'line 2 (concurrency)'],
    [
      'name: x\ncanary: 2\nwait: soon\noperations:\n  - { verb: site.repair, site: a.example }',
      'neither approve nor a time',
    ],
    ['name: x\nname: y\noperations: []', 'Line 2 is no YAML'],
    [
      'name: x\nfailureThreshold: 200%\noperations:\n  - { verb: a, site: b }',
      'neither a number of failures nor a share such as 10%',
    ],
  ])('that is wrong is refused, with the line: %j', (text, said) => {
    expect(() => parseBatchFile('batch', text)).toThrow(said);
  });

  test('of a chain says nothing of what is for many at once', () => {
    const text = 'name: x\ncanary: 2\noperations:\n  - { verb: site.repair, site: a.example }';
    expect(() => parseBatchFile('chain', text)).toThrow('canary');
  });
});

test.each(['docs/batches.md', 'src/client/batch-run.ts'])('what %s shows as a file is one', async (path) => {
  const text = await readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
  const shown = [...text.matchAll(/(?:```yaml\n|A file:\n)([^]*?\n)(?:```|\n)/g)].map(([, yaml = '']) => {
    return yaml.replaceAll(/^ {2}/gm, path.endsWith('.ts') ? '' : '  ');
  });
  expect(shown.length).toBeGreaterThan(0);
  for (const yaml of shown) {
    const kind = yaml.includes('concurrency') ? 'batch' : 'chain';
    const { wanted } = parseBatchFile(kind, yaml);
    const verbs = [...wanted.operations, ...(wanted.catch ?? []), ...(wanted.finally ?? [])].map(({ verb }) => verb);
    expect(verbs.filter((verb) => batchVerb(verb) === null)).toEqual([]);
  }
});

describe('what is selected', () => {
  test('is what the tenant has in service, in order, by server and type', async () => {
    const verb = 'site.repair';
    expect(await targets({ verb, select: {} })).toEqual(['a.example', 'b.example', 'c.example']);
    expect(await targets({ verb, select: { server: 'web1' } })).toEqual(['a.example', 'b.example']);
    expect(await targets({ verb, select: { type: ['static', 'php'], server: ['web2'] } })).toEqual(['c.example']);
    expect(await targets({ verb: 'secrets.rotate', select: {} })).toEqual(['web1', 'web2']);
  });

  test('by tags: all that are named must be there, of sites their own', async () => {
    const tag = async (of: 'sites' | 'servers', id: string, ...add: string[]) =>
      await line.stores.inventory.transaction(async (trx) => void (await tags.change(trx, of, id, { add })));
    const { id } = await sites.byDomain(line.stores.inventory.db, 'c.example');
    await tag('sites', site, 'live', 'shop');
    await tag('sites', id, 'live');
    await tag('servers', 'srv-web2', 'eu');
    expect(await targets({ verb: 'site.repair', select: { tag: 'live' } })).toEqual(['a.example', 'c.example']);
    expect(await targets({ verb: 'site.repair', select: { tag: ['live', 'shop'] } })).toEqual(['a.example']);
    expect(await targets({ verb: 'site.repair', select: { tag: 'live', server: 'web2' } })).toEqual(['c.example']);
    expect(await targets({ verb: 'secrets.rotate', select: { tag: 'eu' } })).toEqual(['web2']);
    const none = plan([{ verb: 'site.repair', select: { tag: 'eu' } }]);
    expect((await failureOf(none)).message).toContain('It selects nothing');
  });

  test('may be what is suspended, where that is what is resumed', async () => {
    const at = '2026-11-01T00:00:00.000Z';
    await line.stores.inventory.transaction(async (trx) => {
      await trx.updateTable('sites').set({ suspendedAt: at }).where('id', '=', site).execute();
    });
    expect(await sites.byId(line.stores.inventory.db, site)).toMatchObject({ status: 'suspended' });
    expect(await targets({ verb: 'site.resume', select: {} })).toEqual(['a.example']);
    expect(await targets({ verb: 'site.suspend', select: {} })).toEqual(['b.example', 'c.example']);
    await line.stores.inventory.transaction(async (trx) => {
      await trx.updateTable('sites').set({ suspendedAt: null }).where('id', '=', site).execute();
    });
  });

  test.each([
    [{ verb: 'site.repair', select: { type: 'wordpress' } }, 'It selects nothing'],
    [{ verb: 'site.repair', select: { type: 'wordpres' } }, 'no type of site'],
    [{ verb: 'site.repair', select: { state: 'asleep' } }, 'no state'],
    [{ verb: 'site.repair', select: { server: 'theirs' } }, 'theirs'],
    [{ verb: 'site.repair', select: { tag: 'No Tag' } }, 'is no tag'],
    [{ verb: 'secrets.rotate', select: { type: 'static' } }, 'Servers have no type'],
  ])('is refused where there is no such thing: %j', async (one, said) => {
    expect(await failureOf(plan([one]))).toMatchObject({
      type: 'InvalidInput',
      message: expect.stringContaining(said),
    });
  });
});

describe('each operation is checked as by hand, and nothing is asked for', () => {
  test.each([
    [{ verb: 'site.explode', site: 'a.example' }, 'nothing that a batch does'],
    [{ verb: 'site.delete', site: 'a.example' }, 'nothing that a batch does'],
    [{ verb: 'site.repair' }, 'needs site or select'],
    [{ verb: 'site.repair', site: 'a.example', select: {} }, 'one of them'],
    [{ verb: 'site.repair', site: 'nowhere.example' }, 'There is no site nowhere.example'],
    [{ verb: 'site.repair', server: 'web1', select: {} }, 'is about a site'],
    [{ verb: 'secrets.rotate', site: 'a.example' }, 'is about a server'],
    [{ verb: 'site.resume', site: 'a.example' }, 'a.example'],
    [{ verb: 'backup.create', site: 'a.example' }, 'no storage'],
    [{ verb: 'backup.create', site: 'a.example', options: { kind: 'half' } }, 'no kind of backup'],
    [{ verb: 'backup.create', site: 'a.example', options: { knid: 'full' } }, 'knid'],
    [{ verb: 'site.create', site: 'a.example', server: 'web1' }, 'a.example is taken'],
    [{ verb: 'site.create', site: 'new.example', server: 'web9' }, 'web9'],
    [{ verb: 'site.create', site: 'new.example', server: 'theirs' }, 'theirs'],
    [{ verb: 'site.create', site: 'new.example', server: 'web1', options: { from: './app' } }, 'https URL'],
  ])('%j', async (one, said) => {
    const before = await rowCounts(line);
    const failed = await failureOf(plan([{ verb: 'site.repair', site: 'b.example' }, one]));
    expect(failed).toMatchObject({ type: 'InvalidInput', message: expect.stringContaining(said) });
    expect(failed.message).toContain('operation 2');
    expect(failed.message).not.toContain('operation 1:');
    expect(await rowCounts(line)).toEqual(before);
  });

  test('what is wrong with several is told of each', async () => {
    const { message } = await failureOf(
      plan([{ verb: 'site.repair', site: 'no.example' }, { verb: 'no.verb' }], { catch: [{ verb: 'also.none' }] }),
    );
    for (const said of ['operation 1', 'operation 2', 'catch']) expect(message).toContain(said);
  });

  test('the same twice is a mistake, also by an alias of a selector', async () => {
    const repair = { verb: 'site.repair', site: 'a.example' };
    expect((await failureOf(plan([repair, repair]))).message).toContain('is there twice');
    expect((await failureOf(plan([repair, { verb: 'site.repair', select: {} }]))).message).toContain('is there twice');
  });

  test('but for what the batch itself changes first', async () => {
    const operations = [
      { verb: 'site.suspend', site: 'a.example' },
      { verb: 'site.resume', site: 'a.example' },
    ];
    const { items, rules } = await planBatch(chom, 'chain', { name: 'test', operations });
    expect(items.map(({ verb }) => verb)).toEqual(['site.suspend', 'site.resume']);
    expect(rules.concurrency).toBe(1);
    expect((await failureOf(plan(operations))).message).toContain('operation 2');
    const finallyResumed = await plan([operations[0]!], { finally: [operations[1]!] });
    expect(finallyResumed.items.map(({ phase }) => phase)).toEqual(['item', 'finally']);
  });

  test('a wait is for canaries', async () => {
    const repair = [{ verb: 'site.repair', site: 'a.example' }];
    expect((await failureOf(plan(repair, { wait: '10m' }))).message).toContain('nothing to wait for');
    expect((await plan(repair, { canary: 1, wait: '10m' })).rules.canary).toEqual({ first: 1, waitMs: 600_000 });
    expect((await plan(repair, { canary: 1 })).rules.canary).toEqual({ first: 1, waitMs: null });
  });
});

test('the command refuses before anybody is contacted', async () => {
  const path = join(line.home, 'wrong.yaml');
  await writeFile(path, 'name: x\ntenant: other\noperations:\n  - { verb: site.repair, site: a.example }\n');
  const refused = async (...words: string[]) => {
    const ran = await line.here(...words, '--json');
    expect(line.contacts()).toBe(0);
    return { status: ran.status, ...(JSON.parse(ran.stdout) as { error: { message: string } }).error };
  };
  expect(await refused('batch', 'run', join(line.home, 'none.yaml'))).toMatchObject({ status: 2 });
  expect(await refused('--tenant', 'default', 'batch', 'run', path)).toMatchObject({ status: 2 });
  expect(await refused('batch', 'show', 'nothing')).toMatchObject({ status: 5 });
  expect(await refused('batch', 'retry', 'nothing')).toMatchObject({ status: 2 });
});
