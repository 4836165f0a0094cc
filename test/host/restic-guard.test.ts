import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { RESTIC_GUARD } from '../../src/host/restic-guard.js';

const directory = mkdtempSync(join(tmpdir(), 'chom-guard-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Runs a shell script in the place of restic; what it is told to stop by, it takes as its end. */
function guarded(script: string, awaySeconds: number) {
  const words = ['-', String(awaySeconds), 'sh', '-c', `trap 'echo stopped; exit 130' INT\n${script}`];
  const { status, stdout, stderr } = spawnSync('perl', words, { input: RESTIC_GUARD, encoding: 'utf8' });
  return { status, stdout, stderr };
}

const FAILS = `echo 'Save(<data/0123>) returned error, retrying after 1.5s: connection refused' >&2`;
const GOES_ON = `echo 'Save(<data/0123>) operation successful after 1 retries' >&2`;
// As long as somebody looks on: a shell acts on a signal between its commands.
const HANGS = 'n=0; while [ $n -lt 1200 ]; do n=$((n + 1)); sleep 0.1; done; exit 7';

describe('restic under guard', () => {
  it('ends as it ends by itself, with what it said', () => {
    expect(guarded('echo data; echo words >&2; exit 3', 60)).toEqual({
      status: 3,
      stdout: 'data\n',
      stderr: 'words\n',
    });
    expect(guarded('kill -KILL $$', 60).status).toBe(128 + 9);
  });

  it('is told to stop where the storage fails on and on', () => {
    const { status, stdout, stderr } = guarded(`${FAILS}; ${HANGS}`, 1);
    expect({ status, stdout }).toEqual({ status: 124, stdout: 'stopped\n' });
    expect(stderr).toMatch(/connection refused\nthe storage did not answer for 1 s\n$/);
  });

  it('is told to stop where its ssh has ended', () => {
    const ssh = join(directory, 'ssh');
    copyFileSync('/bin/sleep', ssh);
    const { status, stderr } = guarded(`${ssh} 8 & wait $!; ${HANGS}`, 1);
    expect({ status, stderr }).toEqual({
      status: 124,
      stderr: 'ssh command exited\nthe storage did not answer for 1 s\n',
    });
  });

  it('goes on where the storage has come back', () => {
    expect(guarded(`${FAILS}; ${GOES_ON}; sleep 3; exit 0`, 1).status).toBe(0);
  });
});
