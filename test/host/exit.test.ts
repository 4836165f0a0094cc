import { describe, expect, it } from 'vitest';
import { expectOk } from '../../src/host/exit.js';
import type { Output } from '../../src/host/host.js';

const host = { name: 'web1' };
const output = (change: Partial<Output>): Output => ({
  exit: 1,
  stdout: '',
  stderr: '',
  already: false,
  milliseconds: 1,
  ...change,
});

function failureOf(change: Partial<Output>, exits = {}): unknown {
  try {
    return expectOk(output(change), host, 'Installing nginx', exits);
  } catch (error) {
    return error;
  }
}

describe('expectOk', () => {
  it('gives the output back where all went well', () => {
    expect(expectOk(output({ exit: 0, stdout: 'x' }), host, 'Reading')).toMatchObject({ stdout: 'x' });
  });

  it('names what failed, where, and the program’s last words', () => {
    expect(failureOf({ exit: 3, stderr: 'first\nlast line\n' })).toMatchObject({
      type: 'CommandFailed',
      message: 'Installing nginx failed on web1: last line',
      details: [{ server: 'web1', output: 'first\nlast line' }],
    });
    expect(failureOf({ exit: 3 })).toMatchObject({ message: 'Installing nginx failed on web1: exit code 3' });
  });

  it('follows the builder’s table before its own guesses', () => {
    expect(failureOf({ exit: 80, stderr: 'No space left on device' }, { 80: 'Conflict' })).toMatchObject({
      type: 'Conflict',
    });
  });

  it.each([
    ['DiskFull', 'cp: error writing /x: No space left on device'],
    ['DiskFull', "E: You don't have enough free space in /var/cache/apt/archives/."],
    ['PackageManagerBusy', 'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 12 (apt-get)'],
    ['PackageManagerBusy', 'dpkg: error: dpkg frontend lock was locked by another process with pid 12'],
  ])('knows %s by its words', (type, stderr) => {
    expect(failureOf({ exit: 100, stderr })).toMatchObject({ type });
  });

  it('keeps a long output to its end', () => {
    const error = failureOf({ stderr: `${'x'.repeat(50_000)}\nend\n` }) as { details: [{ output: string }] };
    expect(error.details[0].output.length).toBeLessThan(2_100);
    expect(error.details[0].output).toMatch(/^…x+\nend$/);
  });
});
