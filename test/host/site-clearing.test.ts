import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isKept, keepPair, removeKeptPair } from '../../src/host/kept-certificate.js';
import { removeRemains } from '../../src/host/site-remains.js';
import type { Script } from '../../src/host/shell.js';

const site = 'sabcdefghi';

it('the scripts are scripts to the shell of a host', () => {
  const steps = [keepPair(site), removeKeptPair(site), removeRemains({ site, uid: 20_001 })];
  for (const { script } of [...steps.flatMap(({ check, act }) => [check, act]), isKept(site)]) {
    expect(execFileSync('dash', ['-n'], { input: script, encoding: 'utf8' })).toBe('');
  }
});

describe('the certificate of a site that is deleted', () => {
  let home = '';
  let directory = '';
  beforeEach(() => {
    home = fs.mkdtempSync(join(tmpdir(), 'chom-tls-'));
    directory = join(home, 'tls', site);
  });
  afterEach(() => fs.rmSync(home, { recursive: true }));

  /** By whoever runs the tests, in the place of root. */
  function run({ script }: Script): number | null {
    const text = script
      .toString()
      .replaceAll('/var/lib/chom', home)
      .replaceAll(/600 0\b/g, `600 ${process.getuid?.()}`);
    return spawnSync('dash', { input: text, encoding: 'utf8' }).status;
  }
  /** As installing leaves it: links through `current`, the pair before, and one in the making. */
  function install(): void {
    for (const pair of ['pairs/old', 'pairs/new', 'next/other']) {
      fs.mkdirSync(join(directory, pair), { recursive: true });
      for (const file of ['key.pem', 'fullchain.pem'])
        fs.writeFileSync(join(directory, pair, file), `${file} of ${pair}`);
    }
    fs.symlinkSync('pairs/new', join(directory, 'current'));
    fs.symlinkSync('pairs/old', join(directory, 'previous'));
    for (const file of ['key.pem', 'fullchain.pem']) fs.symlinkSync(`current/${file}`, join(directory, file));
  }

  it('is the pair in use, as two files of root alone, wherever an attempt before died', () => {
    const { check, act } = keepPair(site);
    install();
    expect(run(check)).not.toBe(0);
    // One file was made, and the other was not.
    fs.rmSync(join(directory, 'key.pem'));
    fs.writeFileSync(join(directory, 'key.pem'), 'key.pem of pairs/new', { mode: 0o600 });
    for (const status of [run(act), run(check), run(act), run(isKept(site))]) expect(status).toBe(0);
    expect(fs.readdirSync(directory).toSorted()).toEqual(['fullchain.pem', 'key.pem']);
    for (const file of ['key.pem', 'fullchain.pem']) {
      expect(fs.readFileSync(join(directory, file), 'utf8')).toBe(`${file} of pairs/new`);
      expect(fs.lstatSync(join(directory, file)).mode & 0o777).toBe(0o600);
    }
    const removal = removeKeptPair(site);
    for (const status of [run(removal.act), run(removal.check), run(removal.act)]) expect(status).toBe(0);
  });

  it('is nothing where there was none, or only one in the making', () => {
    const { check, act } = keepPair(site);
    for (const status of [run(check), run(act)]) expect(status).toBe(0);
    fs.mkdirSync(join(directory, 'next/other'), { recursive: true });
    expect(run(check)).not.toBe(0);
    expect(run(act)).toBe(0);
    expect(fs.existsSync(directory)).toBe(false);
    expect(run(isKept(site))).not.toBe(0);
  });
});
