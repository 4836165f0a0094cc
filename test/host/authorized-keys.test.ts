import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { array, assert, boolean, constantFrom, oneof, property, uint8Array } from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { addKey, authorizeKey, expectKey, removeKeys } from '../../src/host/authorized-keys.js';
import { EXIT } from '../../src/host/exit-codes.js';
import type { Script } from '../../src/host/shell.js';
import { makeSshKey } from '../../src/host/ssh-key.js';

const [old, next, other] = ['old', 'next', 'other'].map((name) => makeSshKey(name).public) as [string, string, string];

let directory: string;
let file: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'chom-keys-'));
  const programs = join(directory, 'bin');
  mkdirSync(programs);
  // In the place of those that know users: there is one, and it is whoever runs the test.
  const shims = {
    getent: `echo "u:x:1:1::${join(directory, 'home')}:/bin/sh"`,
    sync: 'exit 0',
    setpriv: 'while [ "$1" != sh ]; do shift; done; exec "$@"',
  };
  for (const [name, text] of Object.entries(shims)) {
    writeFileSync(join(programs, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }
});
afterAll(() => rmSync(directory, { recursive: true }));
beforeEach(() => {
  rmSync(join(directory, 'home'), { recursive: true, force: true });
  mkdirSync(join(directory, 'home', '.ssh'), { recursive: true });
  file = join(directory, 'home', '.ssh', 'authorized_keys');
});

function run({ script }: Script): { exit: number | null; said: string } {
  const id = `id() { echo 1; }\n`;
  const { status, stderr } = spawnSync('dash', ['-c', `${id}${script.toString()}`], {
    env: { PATH: `${join(directory, 'bin')}:/usr/bin:/bin`, LC_ALL: 'C' },
    encoding: 'utf8',
  });
  return { exit: status, said: stderr };
}
const succeeds = (script: Script) => expect(run(script)).toMatchObject({ exit: 0 });
const write = (...lines: string[]) => writeFileSync(file, lines.map((line) => `${line}\n`).join(''));
const text = () => readFileSync(file, 'latin1');

/** Makes a change twice, as a job may. */
function make({ check, act }: { check: Script; act: Script }): void {
  succeeds(act);
  succeeds(check);
  const made = text();
  succeeds(act);
  expect(text()).toBe(made);
}

describe('a key', () => {
  it('is authorized once, whatever options stand before it, in a file that may be missing or not ended', () => {
    make(authorizeKey('u', next));
    expect(text()).toBe(`${next}\n`);
    writeFileSync(file, `from="10.0.0.1" ${old} renamed`);
    succeeds(authorizeKey('u', old).check);
    make(authorizeKey('u', next));
    expect(text()).toBe(`from="10.0.0.1" ${old} renamed\n${next}\n`);
    write(`# ${old}`);
    expect(run(authorizeKey('u', old).check).exit).toBe(1);
  });

  it('is added with the options of the one beside it', () => {
    write(other, `  from="a b,c",command="echo \\"x # y\\"" ${old}`, `# ${next}`);
    chmodSync(file, 0o640);
    make(addKey('u', next, old));
    expect(text()).toBe(
      `${other}\n  from="a b,c",command="echo \\"x # y\\"" ${old}\n# ${next}\nfrom="a b,c",command="echo \\"x # y\\"" ${next}\n`,
    );
    expect(statSync(file).mode & 0o777).toBe(0o640);
  });

  it('is not added where the one beside it is not, nor to a link: nothing changes', () => {
    write(other, `# ${old}`);
    for (const script of [addKey('u', next, old).act, expectKey('u', old)]) {
      expect(run(script)).toMatchObject({ exit: EXIT.unsupported, said: expect.stringContaining('not in') });
    }
    expect(text()).toBe(`${other}\n# ${old}\n`);
    rmSync(file);
    writeFileSync(`${file}2`, `${old}\n`);
    symlinkSync('authorized_keys2', file);
    for (const script of [addKey('u', next, old).act, removeKeys('u', [old], null).act, expectKey('u', old)]) {
      expect(run(script)).toMatchObject({ exit: EXIT.unsupported, said: expect.stringContaining('a link') });
    }
    expect(text()).toBe(`${old}\n`);
  });

  it('stays where the one that is to be left is not there', () => {
    write(old, `# ${next}`);
    expect(run(removeKeys('u', [old], next).act).exit).toBe(EXIT.conflict);
    expect(text()).toBe(`${old}\n# ${next}\n`);
  });

  it('that is nowhere is removed already', () => {
    succeeds(removeKeys('u', [old], null).check);
    succeeds(removeKeys('u', [old], null).act);
    expect(existsSync(file)).toBe(false);
    rmSync(join(directory, 'home', '.ssh'), { recursive: true });
    succeeds(removeKeys('u', [old], null).check);
    succeeds(removeKeys('u', [old], null).act);
  });
});

it('added and removed again, every other line is what it was, byte for byte', () => {
  const line = oneof(
    constantFrom('', '#', `# ${old}`, `${other} me`, `no-pty ${other}`, '\ttab', '\\n \\1 $x `y` \'"'),
    uint8Array({ maxLength: 40 }).map((bytes) =>
      Buffer.from(bytes.filter((byte) => byte !== 0 && byte !== 10)).toString('latin1'),
    ),
  );
  const lines = array(line, { maxLength: 6 });
  assert(
    property(lines, lines, boolean(), (above, below, ended) => {
      const before = [...above, `no-pty ${old}`, ...below].join('\n') + (ended ? '\n' : '');
      writeFileSync(file, before, 'latin1');
      make(addKey('u', next, old));
      const whole = before.endsWith('\n') ? before : `${before}\n`;
      expect(text()).toBe(`${whole}no-pty ${next}\n`);
      make(removeKeys('u', [old], next));
      const left = [...above, ...below].map((one) => `${one}\n`).join('');
      expect(text().replace(/\n*(?=no-pty [^\n]*\n$)/, '')).toBe(`${left.replace(/\n*$/, '')}no-pty ${next}\n`);
      make(addKey('u', old, next));
      make(removeKeys('u', [next], old));
      expect(text()).toContain(`no-pty ${old}\n`);
    }),
    { numRuns: 8 },
  );
});
