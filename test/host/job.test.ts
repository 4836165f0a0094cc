import { ApplicationFailure } from '@temporalio/common';
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { Job } from '../../src/host/host.js';
import { readEnd } from '../../src/host/job-end.js';
import { startOrFollow, stopAttempt, stopSlice } from '../../src/host/job-start.js';
import { placeOf, runner, sliceOf } from '../../src/host/job-unit.js';
import { sh } from '../../src/host/shell.js';

const job: Job = {
  claim: { controller: 'c', scope: 'site/s1', root: 'root', epoch: 1 },
  operation: 'root/certificate',
  step: '3/part',
  attempt: 'run/1',
  check: sh`test -e /x`,
  act: sh`touch /x`,
  secrets: { password: Buffer.from('geheim') },
  limitSeconds: 60,
};

function end(stdout: string, stderr = ''): unknown {
  const result = { exit: 0, stdout: Buffer.from(stdout), stderr: Buffer.from(stderr), milliseconds: 1 };
  try {
    return readEnd(result, job, 'web1');
  } catch (error) {
    if (error instanceof ApplicationFailure) return { type: error.type, ...(error.details?.[0] as object) };
    throw error;
  }
}

describe('placeOf', () => {
  it('names the unit by operation and step, and the record by the attempt', () => {
    const place = placeOf(job);
    expect(place.unit).toMatch(/^chom-[0-9a-f]{20}$/);
    const next = placeOf({ ...job, attempt: 'run/2' });
    expect([next.unit, next.record === place.record]).toEqual([place.unit, false]);
    const others = [{ step: '3/other' }, { operation: 'root' }, { claim: { ...job.claim, root: 'other' } }];
    for (const other of others) expect(placeOf({ ...job, ...other }).unit).not.toBe(place.unit);
  });

  it('cannot mix up names that run into each other', () => {
    const one = placeOf({ ...job, operation: 'a', step: 'b/c' });
    expect(placeOf({ ...job, operation: 'a/b', step: 'c' }).unit).not.toBe(one.unit);
  });

  it('puts an operation and its children into one slice', () => {
    expect(placeOf(job).slice).toBe(sliceOf('root'));
    expect(placeOf({ ...job, operation: 'root' }).slice).toBe(sliceOf('root'));
  });
});

describe('the scripts', () => {
  const boxed = { ...job, properties: ['User=nobody', 'BindPaths=/srv/chom/it’s $(a) site'] };
  it.each([
    ['startOrFollow', startOrFollow(job, placeOf(job))],
    ['startOrFollow, boxed', startOrFollow(boxed, placeOf(boxed))],
    ['runner', runner(job, placeOf(job))],
    ['runner, boxed', runner(boxed, placeOf(boxed))],
    ['stopAttempt', stopAttempt(placeOf(job))],
    ['stopSlice', stopSlice(sliceOf('root'))],
  ])('%s is valid for dash and bash', (_, { script }) => {
    for (const shell of ['dash', 'bash']) execFileSync(shell, ['-n'], { input: script });
    expect(script.length).toBeGreaterThan(0);
  });

  it('hand secrets over in files alone', () => {
    const text = startOrFollow(job, placeOf(job)).script.toString();
    expect(text.match(/geheim/g)).toHaveLength(1);
    expect(text).toContain(`printf %s 'geheim' >'/run/chom/secrets/`);
  });
});

describe('readEnd', () => {
  it('gives exit code and output of a job that ended', () => {
    expect(end('exited 3\nout\nput\n', 'err\n')).toMatchObject({
      exit: 3,
      stdout: 'out\nput\n',
      stderr: 'err\n',
      already: false,
    });
    expect(end('already 0\nknown\n')).toMatchObject({ exit: 0, stdout: 'known\n', already: true });
  });

  it.each([
    ['timeout', 'TimedOut'],
    ['interrupted oom-kill KILL', 'Interrupted'],
    ['cancelled', 'Interrupted'],
    ['replaced', 'Superseded'],
    ['controller c2', 'StaleClaim'],
    ['stale other', 'StaleClaim'],
    ['busy other', 'Busy'],
    ['unwritable', 'DiskFull'],
    ['exited 1 full', 'DiskFull'],
    ['exited 0 full', 'DiskFull'],
    ['unstarted', 'CommandFailed'],
    ['something else', 'CommandFailed'],
  ])('takes “%s” for %s', (line, type) => {
    expect(end(`${line}\n`)).toMatchObject({ type, server: 'web1' });
  });

  it('takes no answer, and half of one, for a failure', () => {
    for (const text of ['', 'exited 0', 'exited\n', 'exited x\n', 'killed oom-kill\n']) {
      expect(end(text)).toMatchObject({ type: 'CommandFailed' });
    }
  });

  it('names who is in the way', () => {
    expect(end('busy holder\n')).toMatchObject({ holder: 'holder', next: 'chom op watch holder' });
    expect(end('controller c2\n')).toMatchObject({
      holder: 'c2',
      next: expect.stringContaining('chom server adopt web1 --confirm web1'),
    });
  });
});
