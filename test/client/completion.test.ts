import { execFile } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installPackages } from '../../lab/packages.js';
import { chomCommand } from '../../src/client/commands.js';
import { suggest } from '../../src/client/completion.js';
import * as sites from '../../src/inventory/sites.js';
import * as tenants from '../../src/inventory/tenants.js';
import { activeServer, sitePlan } from '../inventory/records.js';
import { startCommandLine, type CommandLine } from './command-line.js';

const repository = fileURLToPath(new URL('../..', import.meta.url));
let line: CommandLine;
beforeAll(async () => {
  line = await startCommandLine();
  await line.stores.inventory.transaction(async (trx) => {
    await activeServer(trx, 'web1');
    await tenants.add(trx, { id: 'acme', name: 'acme' });
    await activeServer(trx, 'web2', 'acme');
    for (const [site, domain] of [
      ['saaaaaaaaa', 'shop.example'],
      ['sbbbbbbbbb', 'blog.example'],
    ] as const) {
      await sites.reserve(trx, sitePlan(site, domain), `provision-${site}`);
      await sites.activate(trx, site);
    }
  });
});
afterAll(async () => await line?.close());

async function completed(...words: string[]): Promise<{ names: string[]; files: boolean }> {
  const { stdout } = await line.here('complete', '--', ...words);
  const lines = stdout.split('\n').slice(0, -1);
  return { names: lines.slice(0, -1).map((one) => one.split('\t')[0] ?? ''), files: lines.at(-1) === ':files' };
}

describe('what may come', () => {
  test('commands, those of a noun, and options with the global ones', async () => {
    expect((await completed('')).names).toEqual(expect.arrayContaining(['site', 'server', 'backup', 'completion']));
    expect((await completed('')).names).not.toContain('complete');
    expect((await completed('site', 're')).names).toEqual(['repair', 'resume']);
    expect((await completed('backup', 'create', '--st')).names).toEqual(['--storage']);
    expect((await completed('backup', 'create', '--js')).names).toEqual(['--json']);
  });

  test('names that there are, where a name is wanted; of another tenant where that is said', async () => {
    expect((await completed('site', 'show', '')).names).toEqual(['blog.example', 'shop.example']);
    expect((await completed('site', 'show', 'sh')).names).toEqual(['shop.example']);
    expect((await completed('site', 'create', 'new.example', '--server', '')).names).toEqual(['web1']);
    expect((await completed('server', 'show', '')).names).toEqual(['web1']);
    expect((await completed('--tenant', 'acme', 'server', 'show', '')).names).toEqual(['web2']);
    expect((await completed('--tenant', '')).names).toEqual(['acme', 'default']);
    expect((await completed('schedule', 'pause', 'back-up-s')).names).toEqual(['back-up-sites']);
  });

  test('choices; files where one is wanted; nothing where somebody makes a name up', async () => {
    expect(await completed('op', 'list', '--priority', '')).toEqual({
      names: ['high', 'default', 'low'],
      files: false,
    });
    expect(await completed('op', 'list', '--priority=h')).toEqual({ names: ['high'], files: false });
    expect(await completed('site', 'create', 'new.example', '--from', '')).toEqual({ names: [], files: true });
    expect(await completed('server', 'add', 'web3', '--key', '')).toEqual({ names: [], files: true });
    expect(await completed('server', 'add', '')).toEqual({ names: [], files: false });
    expect(await completed('no', 'such', 'command', '')).toEqual({ names: [], files: false });
  });

  test('an inventory that cannot be read is no error: there are no names', async () => {
    const stream = new PassThrough();
    const program = chomCommand({ environment: {}, stdin: stream, stdout: stream, stderr: stream, exitStatus: 0 });
    expect(suggest(program, ['site', 'show', ''])).toEqual({ fixed: [], names: 'sites', files: false });
    const ran = await line.here('complete', '--', '--tenant', 'nobody', 'site', 'show', '');
    expect(ran).toMatchObject({ status: 0, stdout: ':none\n', stderr: '' });
  });
});

test.each([
  ['bash', 'complete -F _chom chom'],
  ['zsh', '#compdef chom'],
  ['fish', 'complete -c chom'],
])('the script for %s is printed', async (shell, said) => {
  expect(await line.here('completion', shell)).toMatchObject({ status: 0, stdout: expect.stringContaining(said) });
});

describe('in a shell', { timeout: 240_000 }, () => {
  let path = '';
  beforeAll(async () => {
    await installPackages({ zsh: 'zsh', fish: 'fish' });
    const bin = join(line.home, 'bin');
    await mkdir(bin);
    const run = `#!/bin/sh\nexec node --import tsx '${repository}/src/client/chom.ts' "$@"\n`;
    await writeFile(join(bin, 'chom'), run);
    await chmod(join(bin, 'chom'), 0o755);
    path = `${bin}:${process.env['PATH']}`;
  });

  async function ran(shell: string, script: string): Promise<string[]> {
    const env = { ...line.environment, PATH: path, HOME: line.home };
    const { stdout } = await promisify(execFile)(shell, ['-c', script], { cwd: repository, env });
    return stdout.split('\n').filter((one) => one !== '');
  }

  test('bash', async () => {
    const script = `source <(chom completion bash)
COMP_WORDS=(chom site show sh) COMP_CWORD=3; _chom; printf '%s\\n' "\${COMPREPLY[@]}"
touch_me='$(touch evil)'; COMP_WORDS=(chom site show "$touch_me" '') COMP_CWORD=4; _chom
ls evil 2>/dev/null; complete -p chom`;
    expect(await ran('bash', script)).toEqual(['shop.example', 'complete -F _chom chom']);
  });

  test('zsh', async () => {
    const script = `compdef() { }; _files() { print files }; _describe() { print -l -- "\${(@P)2}" }
source <(chom completion zsh)
words=(chom site show '') CURRENT=4; _chom
words=(chom server add web3 --key '') CURRENT=6; _chom`;
    expect(await ran('zsh', script)).toEqual(['blog.example:active', 'shop.example:active', 'files']);
  });

  test('fish', async () => {
    const script = `chom completion fish | source; complete -C 'chom site show '; complete -C 'chom site show sh'`;
    expect(await ran('fish', script)).toEqual(['blog.example\tactive', 'shop.example\tactive', 'shop.example\tactive']);
  });
});
