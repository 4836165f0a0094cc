import { afterAll, beforeAll, expect, test } from 'vitest';
import { similar } from '../../src/client/did-you-mean.js';
import * as tenants from '../../src/inventory/tenants.js';
import { activeServer } from '../inventory/records.js';
import { startCommandLine, type CommandLine } from './command-line.js';

let line: CommandLine;
beforeAll(async () => {
  line = await startCommandLine();
  await line.stores.inventory.transaction(async (trx) => {
    await activeServer(trx, 'web1');
    await tenants.add(trx, { id: 'acme', name: 'acme' });
    await activeServer(trx, 'secret-host', 'acme');
  });
});
afterAll(async () => await line?.close());

test.each([
  ['exmaple.org', ['example.org', 'shop.example.org'], ['example.org']],
  ['web', ['web1', 'web2', 'db1'], ['web1', 'web2']],
  ['webb1', ['web1', 'web2', 'db1'], ['web1']],
  ['a', ['b', 'c'], []],
  ['nothing.test', ['example.org'], []],
])('of %j may be meant', (typed, names, meant) => {
  expect(similar(typed, names)).toEqual(meant);
});

test('who mistypes a name is told which there are, of the own tenant alone', async () => {
  expect((await line.here('server', 'show', 'wed1')).stderr).toContain('Did you mean web1?');
  expect((await line.here('--tenant', 'acme', 'server', 'show', 'web1')).stderr).not.toContain('Did you mean');
  const json = await line.here('server', 'show', 'secret-hots', '--json');
  expect(json).toMatchObject({ status: 5 });
  expect(json.stdout).not.toContain('secret-host"');
  expect((await line.here('--tenant', 'acmee', 'site', 'list')).stderr).toContain('Did you mean acme?');
  expect((await line.here('site', 'lst')).stderr).toMatch(/Did you mean list\?/);
});
