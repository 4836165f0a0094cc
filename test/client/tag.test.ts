import { afterAll, beforeAll, expect, test } from 'vitest';
import { addServer, addSite, type CommandLine, startCommandLine } from './command-line.js';

let line: CommandLine;
beforeAll(async () => {
  line = await startCommandLine();
  const server = await addServer(line, 'web1');
  await addServer(line, 'web2');
  await addSite(line, server, 'one.example', ['www.one.example']);
  await addSite(line, server, 'two.example');
});
afterAll(async () => await line?.close());

test('sites and servers have tags, are shown with them and listed by them', async () => {
  expect((await line.here('site', 'list')).stdout).not.toContain('TAGS');
  const added = await line.here('site', 'tag', 'add', 'www.one.example', 'shop', 'live', '--json');
  expect(JSON.parse(added.stdout)).toEqual({ site: 'one.example', tags: ['live', 'shop'] });
  expect(await line.here('site', 'tag', 'add', 'two.example', 'live')).toMatchObject({ status: 0, stdout: 'live\n' });
  expect(await line.here('server', 'tag', 'add', 'web2', 'eu')).toMatchObject({ status: 0, stdout: 'eu\n' });

  const listed = async (...words: string[]) => (await line.here(...words, '-o', 'name')).stdout;
  expect(await listed('site', 'list', '--tag', 'live')).toBe('one.example\ntwo.example\n');
  expect(await listed('site', 'list', '--tag', 'live', '--tag', 'shop')).toBe('one.example\n');
  expect(await listed('site', 'list', '--tag', 'live', '--server', 'web2')).toBe('');
  expect(await listed('server', 'list', '--tag', 'eu')).toBe('web2\n');
  expect((await line.here('site', 'list')).stdout).toMatch(/ALIASES +TAGS\none\.example .* live shop\n/);
  expect((await line.here('server', 'list')).stdout).toMatch(/ TAGS\n/);
  expect((await line.here('site', 'show', 'one.example')).stdout).toMatch(/^tags +live, shop$/m);
  expect((await line.here('server', 'show', 'web2')).stdout).toMatch(/^tags +eu$/m);
  const none = await line.here('site', 'list', '--tag', 'never');
  expect(none).toMatchObject({ status: 0, stdout: '', stderr: 'No site has them\n' });

  expect(await line.here('site', 'tag', 'remove', 'one.example', 'shop')).toMatchObject({ stdout: 'live\n' });
  expect(await line.here('site', 'tag', 'remove', 'one.example', 'shop')).toMatchObject({
    status: 0,
    stdout: 'live\n',
  });
  expect(await line.here('server', 'tag', 'remove', 'web2', 'eu')).toMatchObject({ status: 0, stdout: '' });
  expect(await listed('server', 'list', '--tag', 'eu')).toBe('');
});

test.each(['', ' ', 'Live', 'a_b', '-a', 'a-', 'a'.repeat(64), 'a,b', '../x', 'ä'])('%j is no tag', async (tag) => {
  for (const words of [
    ['site', 'tag', 'add', 'one.example', '--', tag],
    ['site', 'list', `--tag=${tag}`],
  ]) {
    expect(await line.here(...words)).toMatchObject({ status: 2, stdout: '' });
  }
});

test('of what there is not there are no tags', async () => {
  expect(await line.here('site', 'tag', 'add', 'none.example', 'live')).toMatchObject({ status: 5 });
  expect(await line.here('server', 'tag', 'remove', 'web9', 'live')).toMatchObject({ status: 5 });
  expect(await line.here('site', 'tag', 'add', 'one.example')).toMatchObject({ status: 2 });
});
