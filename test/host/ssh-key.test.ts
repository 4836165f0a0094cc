import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeSshKey } from '../../src/host/ssh-key.js';

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'chom-key-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

it('is one that OpenSSH reads, with the public half and fingerprint that it says', () => {
  // Every length of comment once, for the padding.
  for (let length = 1; length <= 9; length += 1) {
    const key = makeSshKey('c'.repeat(length));
    const file = join(directory, `key-${length}`);
    writeFileSync(file, key.private, { mode: 0o600 });
    expect(execFileSync('ssh-keygen', ['-y', '-P', '', '-f', file], { encoding: 'utf8' }).trim()).toBe(key.public);
    expect(execFileSync('ssh-keygen', ['-l', '-f', file], { encoding: 'utf8' })).toContain(key.fingerprint);
  }
});

it('signs what its public half verifies', () => {
  const { private: secret } = makeSshKey('chom-web1');
  const parsed = ssh2.utils.parseKey(secret);
  if (parsed instanceof Error) throw parsed;
  const data = Buffer.from('proof');
  const signature = parsed.sign(data);
  if (signature instanceof Error) throw signature;
  expect(parsed.verify(data, signature)).toBe(true);
});

it('is another one each time', () => {
  expect(makeSshKey('x').public).not.toBe(makeSshKey('x').public);
});
