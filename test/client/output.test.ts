import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { namesIn } from '../../src/client/names-in.js';
import { openOutput, outputFormIn, type OutputForm } from '../../src/client/output.js';
import { table } from '../../src/client/text.js';
import { addServer, addSite, type CommandLine, startCommandLine } from './command-line.js';

let line: CommandLine;
beforeAll(async () => {
  line = await startCommandLine();
  const server = await addServer(line, 'web1');
  await addSite(line, server, 'one.example', ['www.one.example']);
  await addSite(line, server, 'two.example');
});
afterAll(async () => await line?.close());

describe('--output', () => {
  test.each([
    [['site', 'list'], 'one.example\ntwo.example\n'],
    [['site', 'show', 'www.one.example'], 'one.example\n'],
    [['server', 'list'], 'web1\n'],
    [['server', 'show', 'web1'], 'web1\n'],
    [['storage', 'list'], ''],
    [['schedule', 'backfill', 'nothing'], ''],
    [['tenant', 'add', 'acme'], 'acme\n'],
  ])('name of %j', async (words, printed) => {
    expect((await line.here(...words, '--output', 'name')).stdout).toBe(printed);
  });

  test('yaml says what json says, also of a failure', async () => {
    for (const words of [
      ['site', 'list'],
      ['site', 'show', 'one.example'],
      ['site', 'show', 'none.example'],
      ['sit'],
    ]) {
      const { stdout: json, status } = await line.here(...words, '--json');
      const yaml = await line.here(...words, '-o', 'yaml');
      expect(yaml.status).toBe(status);
      expect(parse(yaml.stdout)).toEqual(JSON.parse(json));
      expect((await line.here('--output=json', ...words)).stdout).toBe(json);
    }
  });

  test('table is what is printed without it, and two forms at once are none', async () => {
    const { stdout } = await line.here('site', 'list');
    expect(stdout).toMatch(/^DOMAIN .*\none\.example /);
    expect(await line.here('site', 'list', '--output', 'table')).toMatchObject({ status: 0, stdout });
    expect(await line.here('site', 'list', '-o', 'yaml', '--json')).toMatchObject({ status: 2 });
    const unknown = await line.here('site', 'list', '-o', 'xml');
    expect(unknown).toMatchObject({ status: 2, stdout: '' });
    expect(unknown.stderr).toContain('table, wide, json, yaml, name');
  });

  test('wide is not cut to the terminal', async () => {
    const written = async (form: OutputForm) => {
      const stdout = Object.assign(new PassThrough(), { isTTY: true, columns: 20 });
      const output = await openOutput({ stdout, stderr: new PassThrough() }, form);
      output.data({}, table(['WORDS', 'MORE'], [['a'.repeat(40), 'b'.repeat(40)]]));
      return String(stdout.read());
    };
    expect(await written('table')).toContain('…');
    expect(await written('wide')).toContain(`${'a'.repeat(40)}  ${'b'.repeat(40)}`);
    await openOutput({ stdout: new PassThrough(), stderr: new PassThrough() }, 'table');
  });
});

test.each([
  [{ operation: 'op-1', status: 'succeeded', warnings: ['w'], site: { domain: 'a.example' } }, ['op-1']],
  [{ operations: [{ operation: 'op-1', kind: 'x' }] }, ['op-1']],
  [{ site: 'a.example', backups: [{ id: 'b1', operation: 'op-1' }] }, ['b1']],
  [{ sites: [{ site: 'a.example', count: 0 }] }, ['a.example']],
  [
    {
      servers: [
        { name: 'web1', operation: 'op-1' },
        { name: 'web2', operation: null },
      ],
    },
    ['op-1', 'web2'],
  ],
  [{ batch: 'batch-1', name: 'nightly', items: [{ item: '1' }] }, ['nightly']],
  [{ revoked: { id: 't1', name: 'deploy' } }, ['deploy']],
  [{ operations: ['op-1', 'op-2'], left: 0, failed: [] }, ['op-1', 'op-2']],
  [{ removed: 'store' }, ['store']],
  [{ forgotten: ['op-1'] }, ['op-1']],
  [{ home: '/var/lib/chom' }, []],
])('%j is called', (document, names) => {
  expect(namesIn(document)).toEqual(names);
});

test.each([
  [['site', '--output=yaml'], 'yaml'],
  [['site', '-o', 'name', '--json'], 'name'],
  [['site', '-oyaml'], 'yaml'],
  [['site', '-o', 'xml', '--json'], 'json'],
  [['site', '-o'], 'table'],
])('%j asks for', (words, form) => {
  expect(outputFormIn(words)).toBe(form);
});
