import { chmodSync, existsSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { array, assert, boolean, constantFrom, oneof, property, uint8Array } from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { addKey, authorizeKey, expectKey, removeKeys } from '../../src/host/authorized-keys.js';
import { EXIT } from '../../src/host/exit-codes.js';
import type { Script } from '../../src/host/shell.js';
import { makeSshKey } from '../../src/host/ssh-key.js';
import { type KeyHome, keyHome } from './key-home.js';

const [old, next, other] = ['old', 'next', 'other'].map((name) => makeSshKey(name).public) as [string, string, string];

let home: KeyHome;
beforeAll(() => {
  home = keyHome();
});
afterAll(() => home.close());
beforeEach(() => home.empty());

const succeeds = (script: Script) => expect(home.run(script)).toMatchObject({ exit: 0 });
const write = (...lines: string[]) => home.write(lines.map((line) => `${line}\n`).join(''));
const text = () => home.text();

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
    home.write(`from="10.0.0.1" ${old} renamed`);
    succeeds(authorizeKey('u', old).check);
    make(authorizeKey('u', next));
    expect(text()).toBe(`from="10.0.0.1" ${old} renamed\n${next}\n`);
    write(`# ${old}`);
    expect(home.run(authorizeKey('u', old).check).exit).toBe(1);
  });

  it('is added with the options of the one beside it', () => {
    write(other, `  from="a b,c",command="echo \\"x # y\\"" ${old}`, `# ${next}`);
    chmodSync(home.file, 0o640);
    make(addKey('u', next, old));
    expect(text()).toBe(
      `${other}\n  from="a b,c",command="echo \\"x # y\\"" ${old}\n# ${next}\nfrom="a b,c",command="echo \\"x # y\\"" ${next}\n`,
    );
    expect(statSync(home.file).mode & 0o777).toBe(0o640);
  });

  it('is not added where the one beside it is not, nor to a link: nothing changes', () => {
    write(other, `# ${old}`);
    for (const script of [addKey('u', next, old).act, expectKey('u', old)]) {
      expect(home.run(script)).toMatchObject({ exit: EXIT.unsupported, stderr: expect.stringContaining('not in') });
    }
    expect(text()).toBe(`${other}\n# ${old}\n`);
    rmSync(home.file);
    writeFileSync(`${home.file}2`, `${old}\n`);
    symlinkSync('authorized_keys2', home.file);
    for (const script of [addKey('u', next, old).act, removeKeys('u', [old], null).act, expectKey('u', old)]) {
      expect(home.run(script)).toMatchObject({ exit: EXIT.unsupported, stderr: expect.stringContaining('a link') });
    }
    expect(text()).toBe(`${old}\n`);
  });

  it('stays where the one that is to be left is not there', () => {
    write(old, `# ${next}`);
    expect(home.run(removeKeys('u', [old], next).act).exit).toBe(EXIT.conflict);
    expect(text()).toBe(`${old}\n# ${next}\n`);
  });

  it('that is nowhere is removed already', () => {
    succeeds(removeKeys('u', [old], null).check);
    succeeds(removeKeys('u', [old], null).act);
    expect(existsSync(home.file)).toBe(false);
    rmSync(home.directory, { recursive: true });
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
      home.write(before);
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
    { numRuns: 5 },
  );
});
