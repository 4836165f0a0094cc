import { afterAll, beforeAll, expect, test } from 'vitest';
import { runHere } from '../client/command-line.js';
import { startTenants, type Tenants } from './tenants.js';

let tenants: Tenants;
beforeAll(async () => {
  tenants = await startTenants();
});
afterAll(async () => await tenants?.close());

test('a tenant tags own sites over the API, and lists by tags', async () => {
  const token = await tenants.token('first', 'operate');
  const ask = async (method: string, path: string, body?: object) => await tenants.ask(token, method, path, { body });
  const tagged = await ask('POST', '/v1/sites/www.first.example/tags', { add: ['shop', 'new'], remove: ['live'] });
  expect(tagged).toMatchObject({ status: 200, json: { site: 'first.example', tags: ['new', 'of-first', 'shop'] } });
  expect((await ask('GET', '/v1/sites?tag=shop,new')).json).toMatchObject({ sites: [{ domain: 'first.example' }] });
  expect((await ask('GET', '/v1/sites?tag=shop,live')).json).toEqual({ sites: [] });
  expect((await ask('GET', '/v1/servers?tag=live')).json).toMatchObject({ servers: [{ name: 'web-first' }] });
  for (const body of [{}, { add: [] }, { add: ['No Tag'] }, { add: 'live' }, { add: ['a'], set: ['b'] }]) {
    expect((await ask('POST', '/v1/sites/first.example/tags', body)).status).toBe(400);
  }
  expect((await ask('GET', '/v1/sites?tag=No')).status).toBe(400);
  const reader = await tenants.token('first', 'read');
  const refused = await tenants.ask(reader, 'POST', '/v1/sites/first.example/tags', { body: { add: ['a'] } });
  expect(refused.status).toBe(403);
});

test('and so does the command line that works over it', async () => {
  const environment = { CHOM_API: tenants.api.url, CHOM_TOKEN: await tenants.token('other', 'operate') };
  const run = async (...words: string[]) => await runHere(words, environment);
  expect(await run('site', 'tag', 'add', 'other.example', 'blog')).toMatchObject({ stdout: 'blog\nlive\nof-other\n' });
  expect(await run('site', 'tag', 'remove', 'other.example', 'live', '--json')).toMatchObject({ status: 0 });
  expect(await run('site', 'list', '--tag', 'blog', '--tag', 'of-other', '-o', 'name')).toMatchObject({
    stdout: 'other.example\n',
  });
  expect(await run('server', 'list', '--tag', 'nothing', '--json')).toMatchObject({ stdout: '{"servers":[]}\n' });
  expect(await run('server', 'tag', 'add', 'web-other', 'x')).toMatchObject({ status: 4 });
});
