import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectArchive, unpackArchive } from '../../src/host/archive.js';
import { EXIT } from '../../src/host/exit-codes.js';
import { sh } from '../../src/host/shell.js';

const LIMITS = { bytes: 100_000, entries: 10 };
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'chom-archive-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Makes an archive with a shell line that runs in an empty directory. */
function made(line: string): string {
  const from = mkdtempSync(join(directory, 'from-'));
  const file = `${from}.tar`;
  writeFileSync(file, execFileSync('sh', ['-c', line], { cwd: from, maxBuffer: 1e8 }));
  return file;
}

function inspected(file: string, limits = LIMITS) {
  const { script } = inspectArchive(sh`cat ${file}`, limits);
  const { status, stdout, stderr } = spawnSync('dash', [], {
    input: script,
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  });
  return { status, stdout: stdout.trim(), said: stderr.trim().split('\n').at(-1) ?? '' };
}

describe('an archive', () => {
  it('is accepted with its files, directories and links, and its size is known', () => {
    const file = made(
      'mkdir -p a/b; printf 12345 >"a/b/with a space"; ln -s ../x a/link; ln "a/b/with a space" a/hard; printf x >"a/-> odd"; tar -c .',
    );
    expect(inspected(file)).toMatchObject({ status: 0, stdout: '6' });
  });

  it.each([
    ['is no archive', 'head -c 3000 /dev/urandom', 'damaged'],
    ['is cut short', 'head -c 50000 /dev/zero >a; tar -c a | head -c 20000', 'damaged'],
    ['is empty', 'tar -c -T /dev/null', 'empty'],
    ['holds an absolute path', 'echo x >f; tar -cP --transform s,^,/etc/, f', 'absolute path: /etc/f'],
    ['leads out', 'mkdir d; echo x >f; cd d; tar -cP ../f', 'leads out of it: ../f'],
    ['leads out in the middle', 'echo x >f; tar -cP --transform s,^,a/../../, f', 'leads out of it'],
    ['holds a pipe', 'mkfifo p; tar -c p', 'something else than files'],
    ['is too large unpacked', 'head -c 200000 /dev/zero >z; tar -c z', 'more than 100000 bytes'],
    ['holds too many files', 'touch 1 2 3 4 5 6 7 8 9 10 11; tar -c *', 'more than 10 entries'],
    ['claims a huge sparse file', 'truncate -s 1T s; tar -cS s', 'more than 100000 bytes'],
  ])('that %s is refused', (_what, line, why) => {
    const { status, said } = inspected(made(line));
    expect(status).toBe(EXIT.sourceRejected);
    expect(said).toContain(why);
  });

  it('cannot hide a name behind a line break or an arrow', () => {
    const file = made(String.raw`printf x >f; tar -cP --transform 's,^f$,a\n/etc/,' f`);
    expect(inspected(file).status).toBe(0);
    const arrow = made(`ln -s y f; tar -cP --transform 's,^f$,a -> /../../x,' f`);
    const target = join(directory, 'arrow');
    const { script } = unpackArchive(sh`cat ${arrow}`, target);
    const { status } = spawnSync('dash', [], { input: script });
    expect([0, EXIT.sourceRejected]).toContain(status);
    expect(readdirSync(directory).filter((name) => name === 'x')).toEqual([]);
  });
});
