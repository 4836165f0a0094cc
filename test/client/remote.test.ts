import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { chomCommand } from '../../src/client/commands.js';
import { nameOf } from '../../src/client/remote.js';
import { REMOTE_VERBS } from '../../src/client/remote-verbs.js';
import { ROUTES } from '../../src/serve/routes.js';
import { runHere } from './command-line.js';

const stream = new PassThrough();
const program = chomCommand({ environment: {}, stdin: stream, stdout: stream, stderr: stream, exitStatus: 0 });

function all(command: Command): string[] {
  return [nameOf(command), ...command.commands.flatMap(all)];
}

describe('[SE-05] over the API', () => {
  test.each(Object.entries(REMOTE_VERBS))('%s is a command, and asks for what there is', async (name, verb) => {
    expect(all(program)).toContain(name);
    const { method, path } = await verb.call(['one', 'two'], {});
    const wanted = (route: string) => new RegExp(`^${route.replaceAll(/\{\w+\}/g, '[^/]+')}$`);
    expect(ROUTES.filter((route) => route.method === method && wanted(route.path).test(path))).not.toEqual([]);
  });

  test('every command else is refused, and touches nothing', async () => {
    const here = ['completion', 'complete', 'config show'];
    const nouns = all(program).filter((name) => all(program).some((other) => other.startsWith(`${name} `)));
    const others = all(program).filter((name) => !REMOTE_VERBS[name] && !nouns.includes(name) && !here.includes(name));
    expect(others.length).toBeGreaterThan(30);
    for (const name of [
      'worker promote',
      'dev',
      'codec-server',
      'serve',
      'doctor',
      'tenant list',
      'token list',
      'webhook list',
    ]) {
      expect(others).toContain(name);
      const ran = await runHere(name.split(' '), {
        CHOM_API: 'https://127.0.0.1:1',
        CHOM_TOKEN: 'x',
        CHOM_HOME: '/none',
      });
      expect([name, ran.status, ran.stdout]).toEqual([name, 4, '']);
    }
  });

  test.each([
    ['http://chom.example', 'x', 2],
    ['chom.example', 'x', 2],
    ['ftp://chom.example', 'x', 2],
    ['https://127.0.0.1:1', '', 2],
    ['https://127.0.0.1:1', 'x', 1],
  ])('at %s with token %j the status is %i', async (api, token, status) => {
    const ran = await runHere(['--api', api, 'site', 'list'], { CHOM_TOKEN: token, CHOM_HOME: '/none' });
    expect(ran).toMatchObject({ status, stdout: '' });
  });

  test('a directory that is not there is refused before anything is sent', async () => {
    const words = [
      '--api',
      'https://127.0.0.1:1',
      'site',
      'create',
      'x.example',
      '--server',
      'web1',
      '--from',
      '/none',
    ];
    const ran = await runHere(words, { CHOM_TOKEN: 'x', CHOM_HOME: '/none' });
    expect(ran).toMatchObject({ status: 2, stderr: expect.stringContaining('no such file or directory') });
    const there = await runHere([...words.slice(0, -1), fileURLToPath(new URL('.', import.meta.url))], {
      CHOM_TOKEN: 'x',
      CHOM_HOME: '/none',
    });
    expect(there).toMatchObject({ status: 1, stderr: expect.stringContaining('does not answer') });
  });

  test.each([
    ['--tenant', 'acme'],
    ['--priority', 'high'],
    ['--in', '1h'],
    ['--task-queue', 'q'],
    ['--profile', 'p'],
  ])('%s is refused', async (...words) => {
    const ran = await runHere([...words, 'site', 'list'], { CHOM_API: 'https://127.0.0.1:1', CHOM_TOKEN: 'x' });
    expect(ran).toMatchObject({ status: 2, stdout: '' });
    expect(ran.stderr).toContain('nothing that the API takes');
  });
});
