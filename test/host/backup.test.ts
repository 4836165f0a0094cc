import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { excludedPaths, savedDirectories } from '../../src/host/backup-content.js';
import { parseProgress, progressDirectory, readProgress } from '../../src/host/backup-progress.js';
import { parseBackup, readBackup } from '../../src/host/backup-result.js';
import { makeBackup, type BackupOrder } from '../../src/host/backup.js';
import { EXIT } from '../../src/host/exit-codes.js';
import type { RepositoryAccess } from '../../src/host/restic.js';

const site = 'sabcdefghi';
const order: BackupOrder = {
  ...{ site, type: 'wordpress', domain: 'example.org', php: '8.4', kind: 'full', database: true },
  operation: 'create-backup-abc/child-1',
};
const access: RepositoryAccess = {
  ...{
    url: 'rest:https://store.example:8000/sabcdefghi/',
    password: Buffer.from('open sesame'),
    hostKey: null,
    ca: null,
  },
  login: { kind: 'rest', user: site, password: 'rest secret' },
};
const id = (digit: string): string => digit.repeat(64);

describe('makeBackup', () => {
  it('is a script that a shell can read, of whichever kind', () => {
    for (const kind of ['full', 'files', 'database'] as const) {
      const { act, check } = makeBackup({ ...order, kind }, access);
      for (const { script } of [act, check]) {
        expect(execFileSync('dash', ['-n'], { input: script, encoding: 'utf8' })).toBe('');
      }
    }
  });

  it('hands secrets over as credentials, and nowhere else', () => {
    const { act, check, properties, secrets } = makeBackup(order, access);
    for (const text of [act.script.toString(), check.script.toString(), properties.join('\n')]) {
      expect(text).not.toMatch(/sesame|rest secret/);
    }
    expect(Object.keys(secrets)).toEqual(['password', 'repository']);
  });

  it('sees its own site alone, and writes nothing of it', () => {
    const { properties } = makeBackup(order, access);
    expect(properties).toContain('BindReadOnlyPaths=/srv/chom/sabcdefghi');
    expect(properties).toContain('TemporaryFileSystem=/srv:ro /root:ro /home:ro /var/lib:ro /var/log:ro /var/spool:ro');
    expect(properties).toContain('KillSignal=SIGINT');
    expect(properties.filter((one) => one.startsWith('BindPaths='))).toEqual([]);
    const local = makeBackup(order, { ...access, url: '/backups/sabcdefghi', login: null });
    expect(local.properties).toContain('BindPaths=-/backups/sabcdefghi');
  });

  it('refuses an operation whose id would be two tags, or a path', () => {
    for (const operation of ['a,b', 'a b', '../a', 'a//b', '', "a'b"]) {
      expect(() => makeBackup({ ...order, operation }, access)).toThrow('cannot name a snapshot');
    }
  });
});

describe('what is backed up', () => {
  it('is all but what is made again by itself', () => {
    expect(savedDirectories(site)).toEqual(['/srv/chom/sabcdefghi/app', '/srv/chom/sabcdefghi/shared']);
    expect(excludedPaths({ site, type: 'php' })).toEqual([]);
    expect(excludedPaths({ site, type: 'wordpress' })).toContain('/srv/chom/sabcdefghi/app/wp-content/cache/*');
    expect(excludedPaths({ site, type: 'laravel' })).toEqual([
      '/srv/chom/sabcdefghi/app/storage/framework/cache/data/*',
      '/srv/chom/sabcdefghi/app/storage/framework/sessions/*',
      '/srv/chom/sabcdefghi/app/storage/framework/views/*',
    ]);
  });
});

describe('progress', () => {
  it('is read from the file of its operation', () => {
    expect(progressDirectory('a/b')).toBe('chom/progress/a.b');
    expect(readProgress('a/b').script.toString()).toContain('/run/chom/progress/a.b/status');
    const status = { phase: 'files', done: 0.5, files: 1, totalFiles: 2, bytes: 3, totalBytes: 4, at: 5 };
    expect(parseProgress(`${JSON.stringify(status)}\n`)).toEqual(status);
    for (const text of ['', '{"phase":"fi', '{}', 'null', '{"phase":"other"}']) expect(parseProgress(text)).toBe(null);
  });
});

const saved = { startedAt: 100, endedAt: 110, bytes: 10, newBytes: 5, storedBytes: 4 };
const printed = {
  manifest: {
    ...{ format: 1, operation: 'op', site, kind: 'full', type: 'php', domain: 'example.org', php: null, excluded: [] },
    database: {
      ...{ ...saved, snapshot: id('a'), server: '11.8', charset: 'utf8mb4', collation: 'utf8mb4_unicode_ci' },
      ...{ sha256: id('0'), rows: 3, tables: 2, views: 0, notTransactional: 0, history: false },
    },
    files: {
      ...{ ...saved, snapshot: id('b'), files: 7, directories: 2, links: 0, others: 0 },
      unreadable: { count: 0, items: [] as { path: string; why: string }[] },
    },
    apartSeconds: 12,
    madeAt: 120,
  },
  manifestSnapshot: { id: id('c'), sha256: id('1'), bytes: 100, newBytes: 90, storedBytes: 80 },
  snapshots: [] as string[],
};
const output = { exit: 0, stdout: JSON.stringify(printed), stderr: '', already: false, milliseconds: 1 };
const about = { what: 'The backup', storage: 'store1' };

describe('what a backup says of itself', () => {
  it('is its snapshots, and their sum', () => {
    expect(parseBackup(output.stdout)).toMatchObject({
      snapshots: [
        { role: 'database', id: id('a'), bytes: 10, newBytes: 5, files: 1 },
        { role: 'files', id: id('b'), bytes: 10, newBytes: 5, files: 7 },
        { role: 'manifest', id: id('c'), bytes: 100, newBytes: 90, files: 1 },
      ],
      ...{ bytes: 120, newBytes: 100, files: 7, partial: false, leftover: [], manifestSha256: id('1') },
    });
  });

  it('is partial where a file could not be read, and names what an earlier attempt left', () => {
    const files = { ...printed.manifest.files, unreadable: { count: 1, items: [{ path: '/x', why: 'EIO' }] } };
    const changed = { ...printed, manifest: { ...printed.manifest, files }, snapshots: [id('a'), id('d'), id('c')] };
    expect(parseBackup(JSON.stringify(changed))).toMatchObject({ partial: true, leftover: [id('d')] });
  });

  it('is never good when it cannot be read', () => {
    for (const stdout of ['', '{}', JSON.stringify({ ...printed, manifest: null }), output.stdout.slice(0, -2)]) {
      expect(() => readBackup({ ...output, stdout }, { name: 'web1' }, about)).toThrow('cannot read');
    }
  });

  it('fails by what the scripts say, and else by what restic says', () => {
    const fails = (exit: number, stderr: string) => () =>
      readBackup({ ...output, exit, stderr }, { name: 'web1' }, about);
    expect(fails(EXIT.databaseLocked, 'database x is locked\n')).toThrow(
      expect.objectContaining({ type: 'DatabaseLocked', message: 'The backup failed on web1: database x is locked' }),
    );
    expect(fails(EXIT.databaseBroken, 'x')).toThrow(expect.objectContaining({ type: 'DatabaseBroken' }));
    expect(fails(12, 'wrong password')).toThrow(expect.objectContaining({ type: 'WrongPassword' }));
    expect(fails(3, 'the dump')).toThrow(expect.objectContaining({ type: 'CommandFailed' }));
  });
});
