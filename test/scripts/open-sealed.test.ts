import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { createRecoveryKey, sealToRecovery } from '../../src/inventory/recovery.js';

const program = fileURLToPath(new URL('../../docs/runbooks/open-sealed.mjs', import.meta.url));

test('what is sealed to the recovery key is opened by the program of the runbook, and by no other key', () => {
  const directory = mkdtempSync(join(tmpdir(), 'chom-sealed-'));
  try {
    const file = join(directory, 'sealed');
    const [ours, other] = [createRecoveryKey(), createRecoveryKey()];
    writeFileSync(file, `${sealToRecovery(ours.publicKey, Buffer.from('open sesame'))}\n`);
    const open = (key: string) =>
      execFileSync(process.execPath, [program, file], { input: `${key}\n`, encoding: 'utf8', stdio: 'pipe' });
    expect(open(ours.privateKey)).toBe('open sesame');
    expect(() => open(other.privateKey)).toThrow('Unsupported state or unable to authenticate data');
  } finally {
    rmSync(directory, { recursive: true });
  }
});
