import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeSshKey } from '../../src/host/ssh-key.js';
import * as credentials from '../../src/inventory/credentials.js';
import * as servers from '../../src/inventory/servers.js';
import * as tenants from '../../src/inventory/tenants.js';
import { addServer, rowCounts, startCommandLine, type CommandLine } from './command-line.js';

const DAY = 24 * 3_600_000;

let line: CommandLine;
beforeAll(async () => {
  line = await startCommandLine();
  await line.stores.inventory.transaction(async (trx) => {
    await tenants.add(trx, { id: 'other', name: 'other' });
  });
});
afterAll(async () => await line.close());

/** A server whose key was made so many days ago. */
async function enrolled(name: string, days: number, tenant = 'default'): Promise<void> {
  const { inventory, keyring } = line.stores;
  const server = await addServer(line, name, ['8.4'], tenant);
  const key = makeSshKey(name);
  await inventory.transaction(async (trx) => {
    const id = `server-key/${server}/enrolment`;
    const kept = { id, server, kind: 'server-key', state: 'current' } as const;
    await credentials.put(trx, keyring, { ...kept, public: key.public, secret: key.private });
    const createdAt = new Date(Date.now() - days * DAY - 3_600_000).toISOString();
    await trx.updateTable('credentials').set({ createdAt }).where('id', '=', id).execute();
  });
}

interface Document {
  error?: { type: string; message: string; next: string };
  dryRun?: boolean;
  due?: { server: string; rotatedAt: string; dueAt: string; daysLate: number | null }[];
  rotated?: { server: string; error: { type: string } }[];
}
const json = async (...words: string[]) => {
  const { status, stdout, stderr } = await line.here(...words, '--json');
  return { status, stderr, document: JSON.parse(stdout) as Document };
};

test('[RS-04] that no server is due is said, and ends well', async () => {
  const ran = await line.here('secrets', 'rotate', '--all');
  expect(ran).toMatchObject({ status: 0, stdout: '', stderr: 'No server is due\n' });
  await enrolled('fresh', 89);
  expect(await json('secrets:rotate', '--all')).toMatchObject({ status: 0, document: { due: [] } });
  expect(line.contacts()).toBe(0);
});

test('[RS-01] neither a server nor --all is an error of usage, and so are words that do not go together', async () => {
  for (const words of [
    ['secrets', 'rotate'],
    ['secrets:rotate'],
    ['secrets'],
    ['secrets', 'rotate', '--all', '--server', 'fresh'],
    ['secrets', 'rotate', '--server', 'fresh', '--force'],
    ['secrets', 'rotate', '--server', 'fresh', '--overlap-hours', '0'],
    ['secrets', 'rotate', '--server', 'fresh', '--overlap-hours', 'a day'],
    ['secrets', 'rotate', '--server', 'fresh', '--overlap-hours', '721'],
    ['secrets', 'rotate', '--server', 'fresh', '--overlap-hours', '1', '--emergency'],
    ['secrets', 'rotate', '--server', 'no/name'],
  ]) {
    const { status, document } = await json(...words);
    expect(status, words.join(' ')).toBe(2);
    expect(document.error).toMatchObject({ type: 'InvalidInput' });
  }
  expect((await json('secrets', 'rotate')).document.error?.next).toContain('--all');
});

test('[RS-06] an unknown server is a clear error; one of another tenant is unknown, and one that is not enrolled is said to', async () => {
  await enrolled('theirs', 200, 'other');
  for (const name of ['nowhere', 'theirs']) {
    const { status, document } = await json('secrets', 'rotate', '--server', name);
    expect(status).toBe(5);
    expect(document.error).toMatchObject({ message: `There is no server ${name}`, next: 'chom server list' });
  }
  await line.stores.inventory.transaction(async (trx) => {
    await servers.add(trx, { id: 'new', tenant: 'default', name: 'new', address: '192.0.2.9', port: 22, user: 'root' });
  });
  const { status, document } = await json('secrets', 'rotate', '--server', 'new');
  expect(status).toBe(1);
  expect(document.error).toMatchObject({ type: 'Conflict', next: 'chom server add new' });
});

test('[RS-02] [RS-03] a dry run tells which are due, since when and how late, and changes nothing', async () => {
  await enrolled('old', 97);
  await enrolled('older', 120);
  await enrolled('today', 90);
  const before = await rowCounts(line);
  const { stdout, status } = await line.here('secrets', 'rotate', '--all', '--dry-run');
  expect(status).toBe(0);
  expect(stdout.split('\n').map((row) => row.split(/ {2,}/))).toEqual([
    ['SERVER', 'LAST ROTATED', 'DUE', 'LATE'],
    ['older', expect.stringMatching(/^\d{4}-\d\d-\d\d$/), expect.any(String), '30 days'],
    ['old', expect.any(String), expect.any(String), '7 days'],
    ['today', expect.any(String), expect.any(String), '0 days'],
    [''],
  ]);
  const { document } = await json('secrets', 'rotate', '--all', '--dry-run');
  const [first] = document.due ?? [];
  expect(first).toMatchObject({ server: 'older', daysLate: 30 });
  expect(Date.parse(first?.dueAt ?? '') - Date.parse(first?.rotatedAt ?? '')).toBe(90 * DAY);
  const all = await json('secrets', 'rotate', '--all', '--force', '--dry-run');
  expect(all.document.due?.map(({ server, daysLate }) => [server, daysLate])).toEqual([
    ...[['older', 30] as const, ['old', 7], ['today', 0], ['fresh', null]],
  ]);
  const named = await json('secrets', '--server', 'fresh', '--dry-run');
  expect(named.document).toMatchObject({ dryRun: true, due: [{ server: 'fresh', daysLate: null }] });
  expect(await rowCounts(line)).toEqual(before);
  expect(line.contacts()).toBe(0);
});

test('[RS-07] where nobody is there to do it the first is listed, the others are not asked for, and the exit status says so', async () => {
  const { status, stderr, document } = await json('secrets', 'rotate', '--all');
  expect(status).toBe(12);
  expect(document.rotated).toMatchObject([{ server: 'older', error: { type: 'TemporalUnavailable' } }]);
  expect(stderr).toMatch(
    /^Rotating 1 of 3: older\n[^]*2 more were not asked for\n\nNot rotated:\nSERVER +WHY +NEXT\nolder +/,
  );
});
