import { afterAll, beforeAll, expect, test } from 'vitest';
import * as operations from '../../src/inventory/operations.js';
import type { Conclusion } from '../../src/inventory/conclusion.js';
import type { NewOperation } from '../../src/inventory/operations.js';
import * as sites from '../../src/inventory/sites.js';
import { addServer, addSite, type CommandLine, startCommandLine } from './command-line.js';

let line: CommandLine;

beforeAll(async () => {
  line = await startCommandLine();
});
afterAll(async () => await line.close());

const FAILED: Conclusion = { outcome: 'failed', failureType: 'Unreachable', reason: 'web1 does not answer' };

/** An operation that has ended so, or not. */
async function ended(id: string, more: Partial<NewOperation>, conclusion: Conclusion | null = FAILED): Promise<string> {
  const { stores, environment } = line;
  const where = { cluster: environment['TEMPORAL_ADDRESS'] ?? '', namespace: 'default' };
  const base = { id, kind: 'create-backup' as const, input: {}, tenant: 'default', server: null, site: null, ...where };
  const { inventory, keyring } = stores;
  await inventory.transaction(async (trx) => await operations.ask(trx, keyring, { ...base, ...more }));
  if (conclusion === null) return id;
  const run = `run-${id}`;
  await operations.begin(inventory, { operation: id, run });
  await inventory.transaction(
    async (trx) => await operations.conclude(trx, { operation: id, run, epoch: 1 }, conclusion),
  );
  return id;
}

const json = async (...words: string[]) => {
  const { status, stdout } = await line.here(...words, '--json');
  return { status, document: JSON.parse(stdout) as { error?: { type: string; next: string }; operations?: object[] } };
};

const PLAN = {
  ...{ site: 'saaaaaaaaa', tenant: 'default', server: 'srv', serverName: 'web1', domain: 'new.example' },
  ...{ aliases: [], type: 'php', php: '8.4', tls: false },
};

test('what did not fail is not retried', async () => {
  const running = await ended('create-backup-running', {}, null);
  const well = await ended('create-backup-well', {}, { outcome: 'succeeded' });
  const later = await ended('create-backup-later', {}, { ...FAILED, failureType: 'Deferred' });
  const part = await ended(`${well}/safety`, { parent: well }, null);
  for (const [id, next] of [
    [running, `chom op show ${running}`],
    [well, `chom op show ${well}`],
    [later, `chom op show ${later}`],
    [part, `chom op retry ${well}`],
  ] as const) {
    expect(await json('op', 'retry', id)).toMatchObject({ status: 1, document: { error: { type: 'Conflict', next } } });
  }
});

test('what is not on record any more, or wants somebody, is asked for by another command', async () => {
  const uploaded = { ...PLAN, source: { kind: 'upload', sha256: 'a'.repeat(64), bytes: 1 } };
  const key = { ...PLAN, source: { kind: 'git', url: 'ssh://git@git.example/app', ref: null } };
  for (const [id, kind, input, next] of [
    [
      'provision-site-uploaded',
      'provision-site',
      uploaded,
      'chom site create new.example --server web1 --type php --from DIRECTORY',
    ],
    ['provision-site-key', 'provision-site', key, /--from ssh:\/\/git@git.example\/app$/],
    ['enrol-server-failed', 'enrol-server', {}, /^chom server add/],
    ['clean-backups-failed', 'clean-backups', {}, /^chom backup clean/],
  ] as const) {
    await ended(id, { kind, input });
    const { status, document } = await json('op', 'retry', id);
    expect(status).toBe(2);
    expect(document.error?.next).toMatch(next);
  }
});

test('a failed one is listed until it is forgotten, and shown afterwards', async () => {
  const id = await ended('create-backup-forgotten', {});
  const listed = async () => (await json('queue:failed', '--limit', '100')).document.operations ?? [];
  expect(await listed()).toContainEqual(expect.objectContaining({ operation: id }));
  expect((await json('op', 'forget', id)).status).toBe(0);
  expect(await listed()).not.toContainEqual(expect.objectContaining({ operation: id }));
  expect(await json('op', 'show', id)).toMatchObject({ status: 0, document: { status: 'failed' } });
  expect(await json('op', 'forget', id)).toMatchObject({ status: 1, document: { error: { type: 'Conflict' } } });
  expect(await json('queue:flush')).toMatchObject({ status: 2, document: { error: { next: 'add --force' } } });
  expect((await json('queue:flush', '--force')).status).toBe(0);
  expect(await listed()).toEqual([]);
  expect(await json('op', 'retry', '--all')).toEqual({ status: 0, document: { retried: [] } });
});

test('one operation or all of them are named, and not both', async () => {
  expect((await json('op', 'retry')).status).toBe(2);
  expect((await json('op', 'forget', 'create-backup-a', '--all')).status).toBe(2);
});

test('operations are found by the names of a site that was removed', async () => {
  const server = await addServer(line, 'kept');
  const one = await addSite(line, server, 'gone.example', ['www.gone.example']);
  const own = await ended('create-backup-of-removed', { site: one });
  const { inventory } = line.stores;
  await inventory.transaction(async (trx) => await sites.setStatus(trx, one, 'removed'));
  const found = async (domain: string) => {
    const { status, document } = await json('op', 'list', '--site', domain);
    return { status, ids: document.operations?.map((each) => Reflect.get(each, 'operation') as string) };
  };
  for (const name of ['gone.example', 'www.gone.example']) expect(await found(name)).toEqual({ status: 0, ids: [own] });
  expect(await json('op', 'list', '--site', 'never.example')).toMatchObject({
    status: 5,
    document: { error: { type: 'NotFound' } },
  });
});
