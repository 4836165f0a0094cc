import { describe, expect, it } from 'vitest';
import { expectRestic, parseResticLines, resticFailure } from '../../src/host/restic-output.js';
import { failureDetails, type FailureType } from '../../src/workflows/failures.js';
import { ApplicationFailure } from '@temporalio/common';

const id = '0123456789abcdef'.repeat(4);
const output = (exit: number, stderr = '') => ({ exit, stdout: '', stderr, already: false, milliseconds: 1 });

describe('what restic says', () => {
  it('is read line by line, and what is not known is passed over', () => {
    const said = parseResticLines(
      [
        'open repository',
        '{"message_type":"verbose_status","action":"new"}',
        '{"message_type":"status","percent_done":0,"total_files":1}',
        '{"message_type":"status","percent_done":0.5,"total_files":10,"files_done":4,"total_bytes":100,"bytes_done":50}',
        '{"message_type":"error","error":{"message":"open /srv/x: permission denied"},"during":"archival","item":"/srv/x"}',
        '{"message_type":"error","error":',
        `{"message_type":"summary","total_files_processed":9,"total_bytes_processed":90,"data_added":40,"data_added_packed":12,"snapshot_id":"${id}"}`,
        '{"message_type":"exit_error","code":3,"message":"Warning: at least one source file could not be read"}',
      ].join('\n'),
    );
    expect(said).toEqual({
      status: { percentDone: 0.5, files: 10, filesDone: 4, bytes: 100, bytesDone: 50 },
      summary: { snapshot: id, files: 9, bytes: 90, newBytes: 40, storedBytes: 12 },
      errors: [{ item: '/srv/x', message: 'open /srv/x: permission denied' }],
      exitError: { code: 3, message: 'Warning: at least one source file could not be read' },
    });
  });

  it('names no snapshot where none was made, and none by a part of its id', () => {
    const summary = '{"message_type":"summary","total_files_processed":9}';
    expect(parseResticLines(summary).summary).toMatchObject({ snapshot: null, files: 9, newBytes: 0 });
    expect(parseResticLines('{"message_type":"summary","snapshot_id":"01234567"}').summary).toBeNull();
  });
});

describe('an exit code', () => {
  it.each<[number, string, FailureType]>([
    [10, 'Fatal: repository does not exist', 'NoRepository'],
    [11, 'unable to create lock', 'RepositoryLocked'],
    [12, 'Fatal: wrong password or no key found', 'WrongPassword'],
    [130, '', 'Interrupted'],
    [1, 'Fatal: unable to open config file: unexpected HTTP response (401): 401 Unauthorized', 'StorageRefused'],
    [1, 'Fatal: … server response unexpected: 507 Insufficient Storage (507)', 'StorageFull'],
    [1, 'Save(<data/ab>) returned error: sftp: no space left on device', 'StorageFull'],
    [1, 'write /var/cache/chom/x: no space left on device', 'DiskFull'],
    [1, 'dial tcp 198.18.0.9:8000: connect: connection refused', 'StorageUnreachable'],
    [
      124,
      'List(snapshot) returned error, retrying after 1s: request timeout\nthe storage did not',
      'StorageUnreachable',
    ],
    // What ssh itself said is lost where restic ends first.
    [
      1,
      'Fatal: unable to open repository at sftp://u@h:2//p: unable to start the sftp session, error: error receiving version packet from server: server unexpectedly closed connection: unexpected EOF',
      'StorageUnreachable',
    ],
    [1, 'subprocess ssh: Host key verification failed.\nFatal: unable to open repository', 'HostKeyMismatch'],
    [1, 'subprocess ssh: backup@198.18.0.9: Permission denied (publickey).', 'StorageRefused'],
    [1, 'ciphertext verification failed', 'RepositoryDamaged'],
    [
      1,
      'Load(<data/a940a2dd82>, 801802, 0) failed: open /r/data/a9/a9: no such file or directory',
      'RepositoryDamaged',
    ],
    [1, 'Load(<snapshot/5e3b>, 0, 0) failed: <snapshot/5e3b> does not exist', 'RepositoryDamaged'],
    [1, 'Fatal: something new', 'CommandFailed'],
    [2, 'panic: runtime error', 'CommandFailed'],
    [77, '', 'CommandFailed'],
  ])('%i with “%s” means %s', (exit, stderr, type) => {
    expect(resticFailure(output(exit, stderr))).toBe(type);
  });

  it('of a partial backup is a failure only to whoever does not ask for it', () => {
    const asked = { what: 'Backing example.org up', storage: 'store' };
    expect(expectRestic(output(3), { name: 'web1' }, { ...asked, partial: true }).exit).toBe(3);
    const refused = catching(() => expectRestic(output(3), { name: 'web1' }, asked));
    expect(refused).toMatchObject({ type: 'CommandFailed' });
  });

  it('is told with what restic said last, its likely cause and what to do', () => {
    const stderr = 'noise\n{"message_type":"exit_error","code":11,"message":"unable to create lock\\nmore"}\n';
    const refused = catching(() =>
      expectRestic(output(11, stderr), { name: 'web1' }, { what: 'It', storage: 'store' }),
    );
    expect(refused.message).toBe('It failed on web1: unable to create lock');
    expect(failureDetails(refused)).toMatchObject({
      server: 'web1',
      cause: 'Another backup, restore or check of it is at work, or died and left its lock',
      next: 'chom storage check store',
    });
  });
});

it('names what ssh says, not what restic makes of it', () => {
  const stderr =
    'subprocess ssh: b@h: Permission denied (publickey).\n{"message_type":"exit_error","code":1,"message":"Fatal: unexpected EOF"}';
  const refused = catching(() => expectRestic(output(1, stderr), { name: 'web1' }, { what: 'It', storage: 'store' }));
  expect(refused).toMatchObject({
    type: 'StorageRefused',
    message: 'It failed on web1: subprocess ssh: b@h: Permission denied (publickey).',
  });
});

it('leaves out that restic tried again', () => {
  const stderr =
    'Stat(<config/>) returned error, retrying after 547.3ms: Head "https://h/config": connect: connection refused\n';
  const refused = catching(() => expectRestic(output(124, stderr), { name: 'web1' }, { what: 'It', storage: 'store' }));
  expect(refused).toMatchObject({
    type: 'StorageUnreachable',
    message: 'It failed on web1: Head "https://h/config": connect: connection refused',
  });
});

function catching(fn: () => unknown): ApplicationFailure {
  try {
    fn();
  } catch (error) {
    if (error instanceof ApplicationFailure) return error;
    throw error;
  }
  throw new Error('It did not fail');
}

it('names the error, and not how many there were', () => {
  const lost = 'Load(<data/a940a2dd82>, 801802, 0) failed: open /r/data/a9/a9: no such file or directory';
  const stderr = [
    JSON.stringify({ message_type: 'error', error: { message: lost }, during: 'restore', item: '/srv/photo' }),
    JSON.stringify({ message_type: 'exit_error', code: 1, message: 'Fatal: There were 1 errors' }),
  ].join('\n');
  const refused = catching(() => expectRestic(output(1, stderr), { name: 'web1' }, { what: 'It', storage: 'store' }));
  expect(refused).toMatchObject({ type: 'RepositoryDamaged', message: expect.stringContaining(lost) });
});
