import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openKeyring } from '../../src/inventory/keyring-file.js';
import { controllerId } from '../../src/inventory/keys.js';
import { addServer, addSite, type CommandLine, runHere, startCommandLine } from './command-line.js';

let cli: CommandLine;
let directory = '';
beforeEach(async () => {
  cli = await startCommandLine();
  directory = await mkdtemp(join(tmpdir(), 'chom-copies-'));
  await controllerId(cli.stores.inventory);
  await addSite(cli, await addServer(cli, 'web1'), 'example.org');
});
afterEach(async () => {
  await cli.close();
  await rm(directory, { recursive: true, force: true });
});

type Document = Record<string, unknown> & { error?: { type: string; next: string } };

async function json(...words: string[]): Promise<{ status: number | null; stderr: string; json: Document }> {
  const { status, stdout, stderr } = await cli.here(...words, '--json');
  return { status, stderr, json: JSON.parse(stdout || '{}') as Document };
}

/** Makes the recovery key and keeps its private half in a file. */
async function makeKey(): Promise<string> {
  const { stderr } = await cli.here('recovery-kit');
  const file = join(directory, 'key.txt');
  await writeFile(file, stderr);
  expect(stderr).toContain('CHOM-RECOVERY-PRIVATE-');
  return file;
}

test('[BD-03] without a key --encrypt is refused, and nothing is written, in the clear least of all', async () => {
  const to = join(directory, 'to');
  const refused = await json('backup', 'database', '--encrypt', '--to', to);
  expect(refused).toMatchObject({ status: 4, json: { error: { type: 'Forbidden' } } });
  expect(refused.json.error?.next).toContain('chom recovery-kit');
  expect(await readdir(directory)).toEqual([]);
  await makeKey();
  expect((await json('backup', 'database', '--encrypt', '--to', to)).status).toBe(0);
});

test('[BD-04] a directory that is missing is made, for its owner alone; one that cannot be is said', async () => {
  const to = join(directory, 'a', 'b');
  expect((await json('backup', 'database', '--to', to)).status).toBe(0);
  expect((await stat(to)).mode & 0o777).toBe(0o700);
  expect((await json('backup', 'database')).status).toBe(0);
  expect(await readdir(join(cli.home, 'backups'))).toHaveLength(1);
  await writeFile(join(directory, 'file'), '');
  const refused = await json('backup', 'database', '--to', join(directory, 'file', 'below'));
  expect(refused).toMatchObject({ status: 2, json: { error: { type: 'InvalidInput' } } });
});

test('[BD-05] name, size, duration, whether encrypted and whether uploaded are told, and the same as JSON', async () => {
  await makeKey();
  const { json: told } = await json('backup', 'database', '--encrypt', '--test', '--to', directory);
  const { name, bytes } = told;
  expect(told).toMatchObject({
    ...{ file: join(directory, String(name)), encrypted: true, tested: true, keyring: true, uploaded: null },
    ...{ bytes: (await stat(join(directory, String(name)))).size, durationMilliseconds: expect.any(Number) as number },
  });
  expect(Number(bytes)).toBeGreaterThan(10_000);
  const { stdout } = await cli.here('backup:database', '--to', directory);
  for (const line of [
    /^name +control-plane-.*\.chom$/m,
    /^size +\d.* kB$/m,
    /^took +\d.* s$/m,
    /^encrypted +no$/m,
    /^uploaded +no$/m,
  ]) {
    expect(stdout).toMatch(line);
  }
  expect(cli.contacts()).toBe(0);
});

test('[BD-06] [BD-08] --test FILE tries out one that there is, and fails where it is damaged or not to be opened', async () => {
  const key = await makeKey();
  const { json: made } = await json('backup', 'database', '--encrypt', '--to', directory);
  const file = String(made['file']);
  const tried = await json('backup', 'database', '--test', file, '--recovery-key', key);
  expect(tried).toMatchObject({ status: 0, json: { tested: true, tables: made['tables'], rows: made['rows'] } });
  expect(await json('backup', 'database', '--test', file)).toMatchObject({
    status: 4,
    json: { error: { type: 'Forbidden' } },
  });
  const bytes = await readFile(file);
  bytes.writeUInt8(bytes.readUInt8(5000) ^ 1, 5000);
  await writeFile(file, bytes);
  const damaged = await json('backup', 'database', '--test', file, '--recovery-key', key);
  expect(damaged).toMatchObject({ status: 1, json: { error: { type: 'BackupDamaged' } } });
  expect((await json('backup', 'database', '--test', file, '--encrypt')).status).toBe(2);
  expect((await readdir(cli.home)).filter((name) => name.startsWith('backup-'))).toEqual([]);
});

test('--extract takes one apart, needs the key for it, and leaves its keyring sealed', async () => {
  const key = await makeKey();
  const { json: made } = await json('backup', 'database', '--encrypt', '--to', directory);
  const apart = ['backup', 'database', '--extract', String(made['file'])];
  expect((await json(...apart)).status).toBe(2);
  expect((await json(...apart, '--to', join(directory, 'closed'))).status).toBe(4);
  const to = join(directory, 'open');
  const { json: taken } = await json(...apart, '--to', to, '--recovery-key', key);
  expect(taken['parts']).toEqual(['database', 'keyring', 'settings']);
  expect((await readFile(join(to, 'database'))).toString('latin1', 0, 15)).toBe('SQLite format 3');
  expect(await readFile(join(to, 'keyring'), 'utf8')).toMatch(/^chom-recovery1\./);
  // Nothing is written over.
  const again = await json(...apart, '--to', to, '--recovery-key', key);
  expect(again).toMatchObject({ status: 1, json: { error: { type: 'Conflict' } } });
});

test('no secret leaves in the clear: not the keyring, not the password of a database', async () => {
  await makeKey();
  const environment = { ...cli.environment, CHOM_SOURCE_PASSWORD: 'hush-hush', CHOM_ACME_CONTACT: 'mara@example.org' };
  const { status } = await runHere(['backup', 'database', '--to', directory], environment);
  expect(status).toBe(0);
  const [name = ''] = (await readdir(directory)).filter((one) => one.endsWith('.chom'));
  const text = (await readFile(join(directory, name))).toString('latin1');
  const { keys } = JSON.parse(await readFile(join(cli.home, 'keyring.json'), 'utf8')) as { keys: { key: string }[] };
  for (const secret of ['hush-hush', ...keys.map(({ key }) => key)]) expect(text.includes(secret)).toBe(false);
  expect(text).toContain('mara@example.org');
});

test('a machine that has nothing gets it back, says what to do next, and is no second time written over', async () => {
  const key = await makeKey();
  const { json: made } = await json('backup', 'database', '--encrypt', '--to', directory);
  const home = join(directory, 'new');
  const restore = async (...words: string[]) => {
    const all = ['restore-control-plane', String(made['file']), ...words];
    return await runHere(all, { ...cli.environment, CHOM_HOME: home });
  };
  expect((await restore()).status).toBe(2);
  await writeFile(join(directory, 'none.txt'), 'no key');
  expect((await restore('--recovery-key', join(directory, 'none.txt'))).status).toBe(2);
  const { status, stdout } = await restore('--recovery-key', key);
  expect([status, stdout]).toEqual([0, expect.stringMatching(/controller +[0-9a-f-]{36}\n/) as string]);
  expect((await openKeyring(home)).ids).toEqual((await openKeyring(cli.home)).ids);
  const shown = await runHere(['site', 'show', 'example.org', '--json'], { ...cli.environment, CHOM_HOME: home });
  expect(JSON.parse(shown.stdout)).toMatchObject({ site: { domain: 'example.org' } });
  const again = await restore('--recovery-key', key);
  expect([again.status, again.stderr]).toEqual([1, expect.stringContaining('There is an inventory already') as string]);
});

test('the kit names the newest backup, the public half of the key, and how to restore; the key is shown once', async () => {
  const none = await json('recovery-kit');
  expect(none.stderr).toContain('chom backup database --encrypt --test');
  await json('backup', 'database', '--encrypt');
  const kit = await json('recovery-kit');
  expect(kit.stderr).not.toContain('CHOM-RECOVERY-PRIVATE-');
  expect(kit.json).toMatchObject({
    recoveryKey: (await openKeyring(cli.home)).recovery,
    backups: [{ encrypted: true, foreign: false }],
    restore: expect.stringContaining('chom restore-control-plane FILE') as string,
  });
});
