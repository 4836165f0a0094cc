import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tryOverwriting } from '../../src/host/overwriting.js';
import { sh } from '../../src/host/shell.js';
import { parseAccess } from '../../src/host/trial.js';

const s3 = { url: 's3:https://h.example/b/trial', ca: 'PEM' };

describe('an object of S3', () => {
  let directory = '';
  beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'chom-s3-'))));
  afterEach(() => rmSync(directory, { recursive: true }));

  /** What is printed where the storage gives these answers, one for each request; and what was asked. */
  function tried(answers: readonly { status: number; headers?: string; body?: string }[]) {
    writeFileSync(join(directory, 'asked'), '');
    const { script } = tryOverwriting(s3, sh`snapshots/${'abc'}`);
    answers.forEach(({ status, headers = '', body = '' }, n) => {
      writeFileSync(join(directory, `status-${n}`), `${status}`);
      writeFileSync(join(directory, `headers-${n}`), headers);
      writeFileSync(join(directory, `body-${n}`), body);
    });
    // Stands for the network alone.
    const curl = `curl() {
  n=$(wc -l <asked); echo "$*" >>asked
  while [ $# -gt 0 ]; do case $1 in
    --output) cp body-$n "$2" ;; --dump-header) cp headers-$n "$2" ;; esac; shift; done
  cat status-$n
}`;
    const env = { PATH: process.env['PATH'] ?? '', CREDENTIALS_DIRECTORY: directory };
    const input = `${curl}\n${script.toString()}`;
    const ran = spawnSync('dash', { input, encoding: 'utf8', env, cwd: directory });
    return { access: parseAccess(ran.stdout), asked: readFileSync(join(directory, 'asked'), 'utf8'), said: ran.stderr };
  }
  const there = { status: 200, body: 'one' };
  const versioned = { status: 200, headers: 'HTTP/1.1 200 OK\r\nX-Amz-Version-Id: v/1\r\n' };

  it.each([
    ['append-only', 'who may not write over it', [there, { status: 403 }]],
    ['append-only', 'who may not delete the version', [there, versioned, { status: 403 }]],
    ['deletable', 'who may delete the version', [there, versioned, { status: 204 }]],
    ['deletable', 'who writes over it', [there, { status: 200 }]],
    [
      'deletable',
      'who writes over it where versions are suspended',
      [there, { status: 200, headers: 'x-amz-version-id: null\r\n' }],
    ],
    ['deletable', 'who gets an answer that tells nothing', [there, { status: 501 }]],
    ['deletable', 'whom nothing is shown to', [{ status: 500 }]],
  ] as const)('is %s to %s', (expected, _, answers) => {
    const found = tried(answers);
    expect(found.access).toBe(expected);
    expect(found.asked).not.toContain('sesame');
    expect(found.said === '').toBe(expected === 'append-only');
  });

  it('is asked for again in the region that the storage names', () => {
    const wrong = { status: 400, body: '<Error><Code>x</Code><Region>eu-1</Region></Error>' };
    const { access, asked } = tried([wrong, there, { status: 403 }]);
    expect(access).toBe('append-only');
    expect(asked.match(/aws:amz:\S+:s3/g)).toEqual(['aws:amz:us-east-1:s3', 'aws:amz:eu-1:s3', 'aws:amz:eu-1:s3']);
  });
});
