import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findProgram, type Program, type Source } from '../../src/client/program.js';
import { cacheDirectory } from '../../src/client/programs/cache.js';
import { isRecentServer } from '../../src/client/programs/temporal.js';

const root = new URL('../..', import.meta.url).pathname;
let directory: string;
let environment: Record<string, string>;
let said: string[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'chom-program-'));
  environment = { XDG_CACHE_HOME: join(directory, 'cache'), PATH: join(directory, 'bin') };
  await mkdir(join(directory, 'bin'));
  said = [];
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const executable = async (path: string, text = '#!/bin/sh\n'): Promise<string> => {
  await writeFile(path, text);
  await chmod(path, 0o755);
  return path;
};

const works = (text = '#!/bin/sh\n'): Source => ({
  doing: 'building it (about 1 s)',
  fill: async (partial) => void (await executable(join(partial, 'tool'), text)),
});

const fails = (quiet: boolean): Source => ({
  doing: 'trying',
  quiet,
  async fill(partial) {
    await writeFile(join(partial, 'half'), '');
    throw new Error('the network is down');
  },
});

const tool = (more: Partial<Program> = {}): Program => ({
  name: 'tool',
  setting: 'CHOM_TOOL',
  cached: 'tool-1.0',
  sources: [works()],
  ...more,
});

const find = (program: Program): Promise<string> =>
  findProgram(program, { environment, say: (line) => said.push(line) });

const cached = (): string => join(directory, 'cache/chom/programs/tool-1.0/tool');
const leftInCache = (): Promise<string[]> => readdir(join(directory, 'cache/chom/programs'));

describe('a program', () => {
  test('is the one that is set, before all others', async () => {
    environment['CHOM_TOOL'] = await executable(join(directory, 'mine'));
    await executable(join(directory, 'bin/tool'));
    expect(await find(tool({ accept: async () => true }))).toBe(join(directory, 'mine'));
  });

  test('that is set and cannot be run is an error, not a reason to search', async () => {
    environment['CHOM_TOOL'] = join(directory, 'nowhere');
    await expect(find(tool())).rejects.toMatchObject({
      type: 'InvalidInput',
      message: expect.stringContaining('CHOM_TOOL') as string,
    });
    expect(said).toEqual([]);
  });

  test('on PATH is used when it will do', async () => {
    const path = await executable(join(directory, 'bin/tool'));
    expect(await find(tool({ accept: async () => true }))).toBe(path);
    expect(await find(tool({ accept: async () => false }))).toBe(cached());
    expect(await find(tool({ accept: () => Promise.reject(new Error('it does not start')) }))).toBe(cached());
    expect(await find(tool())).toBe(cached());
  });

  test('is built once, saying so, and then found in the cache', async () => {
    expect(await find(tool())).toBe(cached());
    expect(said).toEqual(['tool: building it (about 1 s)']);
    expect(await find(tool({ sources: [fails(false)] }))).toBe(cached());
    expect(said).toHaveLength(1);
    expect(await leftInCache()).toEqual(['tool-1.0']);
  });

  test('comes from the next source when one fails, which leaves nothing', async () => {
    expect(await find(tool({ sources: [fails(true), works()] }))).toBe(cached());
    expect(said).toEqual(['tool: building it (about 1 s)']);
    expect(await readdir(join(directory, 'cache/chom/programs/tool-1.0'))).toEqual(['tool']);
  });

  test('that no source has is an error with the cause and what to do', async () => {
    const missing = find(tool({ sources: [fails(true), fails(false)] }));
    await expect(missing).rejects.toMatchObject({
      type: 'NotFound',
      details: [{ cause: 'the network is down', next: 'install tool, or set CHOM_TOOL to its path' }],
    });
    expect(await leftInCache()).toEqual([]);
  });

  test('is built once for several that want it at the same time', async () => {
    let built = 0;
    const source = works();
    const counted = { ...source, fill: (partial: string) => (built++, source.fill(partial)) };
    const found = await Promise.all([1, 2, 3, 4].map(() => find(tool({ sources: [counted] }))));
    expect(new Set(found)).toEqual(new Set([cached()]));
    expect(built).toBe(1);
  });

  test('whose builder was killed is built anew', async () => {
    const script = `import { filledOnce } from './src/client/programs/cache.ts';
      import { writeFileSync } from 'node:fs';
      void filledOnce(process.argv[1], async (partial) => {
        writeFileSync(partial + '/tool', 'half', { mode: 0o755 });
        console.log('half');
        await new Promise((resolve) => setTimeout(resolve, 60_000));
      });`;
    const place = join(directory, 'cache/chom/programs/tool-1.0');
    const builder = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script, place], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(builder.stdout, 'data');
    builder.kill('SIGKILL');
    await once(builder, 'exit');
    expect(await leftInCache()).toEqual([expect.stringMatching(/lock$/), expect.stringMatching(/partial-\d+$/)]);
    expect(await readFile(await find(tool({ sources: [works('whole')] })), 'utf8')).toBe('whole');
    expect(await leftInCache()).toEqual(['tool-1.0']);
  });
});

test('the cache follows XDG_CACHE_HOME', () => {
  expect(cacheDirectory({ XDG_CACHE_HOME: '/var/cache/mine' })).toBe('/var/cache/mine/chom');
  expect(cacheDirectory({ XDG_CACHE_HOME: '' })).toMatch(/\/\.cache\/chom$/);
});

test.each([
  ['temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)', true],
  ['temporal version 1.9.0 (Server 1.32.0, UI 2.50.0)', true],
  ['temporal version 2.0.0 (Server 2.0.0, UI 3.0.0)', true],
  ['temporal version 1.4.1 (Server 1.28.0, UI 2.39.0)', false],
  ['temporal version 1.5.0 (Server 1.29.0, UI 2.40.0)', false],
  ['tctl version 1.18', false],
  ['', false],
])('the server of %j is recent enough: %j', (printed, recent) => {
  expect(isRecentServer(printed)).toBe(recent);
});
