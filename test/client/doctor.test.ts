import { chmod, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openInventory } from '../../src/inventory/database.js';
import { Keyring } from '../../src/inventory/keyring.js';
import { rowCounts, runChom, runHere, startCommandLine, type CommandLine } from './command-line.js';

interface Check {
  name: string;
  state: string;
  message: string;
  next: string | null;
}

let line: CommandLine;
beforeEach(async () => {
  line = await startCommandLine();
  // Something is sealed, so that keys can be missed.
  await line.stores.inventory.transaction(async (trx) => {
    await trx.insertInto('keyIds').values({ id: line.stores.keyring.current, createdAt: '2026' }).execute();
  });
});
afterEach(async () => await line.close());

/** What one check says. The Temporal profile is wrong, which is found at once: the status is always 1. */
async function check(name: string, environment: Record<string, string> = line.environment): Promise<Check | undefined> {
  const ran = await runHere(['doctor', '--json'], { TEMPORAL_PROFILE: 'nowhere', ...environment });
  expect(ran.status).toBe(1);
  const { ok, checks } = JSON.parse(ran.stdout) as { ok: boolean; checks: Check[] };
  expect(ok).toBe(false);
  return checks.find((one) => one.name === name);
}

const keyring = () => join(line.home, 'keyring.json');

describe('chom doctor', () => {
  test('finds nothing wrong with what is right, and changes nothing', async () => {
    const before = [await rowCounts(line), await readdir(line.home)];
    for (const name of ['node', 'settings', 'data', 'keyring', 'inventory', 'tenant']) {
      expect(await check(name)).toMatchObject({ state: 'ok', next: null });
    }
    expect([await rowCounts(line), await readdir(line.home)]).toEqual(before);
    const text = await line.here('doctor');
    expect(text.stdout).toMatch(/^✔ node +Node /m);
    expect(text.stdout).toMatch(
      /^✘ temporal +Temporal does not answer at 127\.0\.0\.1:\d+\n +cause .*\n +next +chom dev/m,
    );
    expect(text).toMatchObject({ status: 1, stderr: 'Wrong: temporal\n' });
  });

  test('makes nothing where nothing is yet', async () => {
    const home = await mkdtemp(join(tmpdir(), 'chom-test-'));
    await rm(home, { recursive: true });
    expect(await check('data', { CHOM_HOME: home })).toMatchObject({ state: 'ok' });
    expect(await check('inventory', { CHOM_HOME: home })).toMatchObject({ state: 'ok' });
    await expect(readdir(home)).rejects.toThrow('ENOENT');
  });

  test('a setting that is wrong', async () => {
    const found = await check('settings', { ...line.environment, CHOM_DATABASE_URL: 'mysql://x' });
    expect(found).toMatchObject({ state: 'wrong', message: expect.stringContaining('CHOM_DATABASE_URL') });
  });

  test('a data directory that others may change', async () => {
    await chmod(line.home, 0o777);
    expect(await check('data')).toMatchObject({ state: 'wrong', next: `chmod 700 ${line.home}` });
  });

  test('a tenant that there is not', async () => {
    const found = await check('tenant', { ...line.environment, CHOM_TENANT: 'nobody' });
    expect(found).toMatchObject({ state: 'wrong', next: 'chom tenant list' });
  });

  test('a keyring that is lost, another one, a damaged one, and one that others may read', async () => {
    const own = await readFile(keyring(), 'utf8');
    const { current } = line.stores.keyring;
    await rename(keyring(), `${keyring()}.kept`);
    const wrong = {
      state: 'wrong',
      message: expect.stringContaining(current),
      next: expect.stringContaining(keyring()),
    };
    expect(await check('keyring')).toMatchObject(wrong);
    await writeFile(keyring(), JSON.stringify(Keyring.generate()), { mode: 0o600 });
    expect(await check('keyring')).toMatchObject(wrong);
    await writeFile(keyring(), own.slice(10));
    expect(await check('keyring')).toMatchObject({ state: 'wrong', message: 'The keyring is damaged' });
    await writeFile(keyring(), own);
    await chmod(keyring(), 0o644);
    expect(await check('keyring')).toMatchObject({ state: 'wrong', next: expect.stringContaining('chmod 600') });
    await chmod(keyring(), 0o600);
    expect(await check('keyring')).toMatchObject({ state: 'ok' });
  });

  test('an inventory that was not migrated', async () => {
    await line.stores.inventory.close();
    for (const name of await readdir(line.home)) if (name.startsWith('inventory')) await rm(join(line.home, name));
    const empty = await openInventory({ file: join(line.home, 'inventory.db') }, { migrate: false });
    await empty.transaction(async () => undefined);
    await empty.close();
    expect(await check('inventory')).toMatchObject({
      ...{ state: 'wrong', message: expect.stringContaining('has version 0') },
      next: expect.stringContaining('chom tenant list'),
    });
    // What it says mends it.
    await line.here('tenant', 'list');
    expect(await check('inventory')).toMatchObject({ state: 'ok' });
  });

  test('an inventory that a newer CHOM has migrated', async () => {
    await line.stores.inventory.transaction(async (trx) => {
      const versions = trx as unknown as {
        insertInto(table: string): { values(row: object): { execute(): Promise<unknown> } };
      };
      await versions.insertInto('schemaVersions').values({ version: 999, name: 'newer', at: '2027' }).execute();
    });
    expect(await check('inventory')).toMatchObject({ state: 'wrong', next: 'upgrade CHOM on this machine' });
  });

  test('an inventory that is none, and one that cannot be reached', async () => {
    const { environment } = line;
    const elsewhere = await check('inventory', {
      ...environment,
      CHOM_DATABASE_URL: 'postgres://u:secret@127.0.0.1:9/x',
    });
    expect(elsewhere).toMatchObject({ state: 'wrong', next: expect.stringContaining('CHOM_DATABASE_URL') });
    expect(JSON.stringify(elsewhere)).not.toContain('secret');
    await line.stores.inventory.close();
    for (const name of await readdir(line.home)) if (name.startsWith('inventory')) await rm(join(line.home, name));
    await writeFile(
      join(line.home, 'inventory.db'),
      'no database at all, but long enough to be read as one'.repeat(99),
    );
    expect(await check('inventory')).toMatchObject({
      state: 'wrong',
      message: expect.stringContaining('not an inventory'),
    });
  });

  test('a Temporal profile that there is not', async () => {
    const found = await check('temporal', { CHOM_HOME: line.home, TEMPORAL_PROFILE: 'nowhere' });
    expect(found).toMatchObject({ state: 'wrong', next: expect.stringContaining('TEMPORAL_PROFILE') });
  });

  // Starting from source takes seconds on a busy machine.
  test('a Node that is too old', { timeout: 120_000 }, async () => {
    const old = `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'18.20.4'}})`;
    const ran = await runChom(['doctor', '--json'], { ...line.environment, NODE_OPTIONS: `--import=${old}` });
    const { checks } = JSON.parse(ran.stdout) as { checks: Check[] };
    expect(checks[0]).toMatchObject({ name: 'node', state: 'wrong', message: 'Node 18.20.4 is too old' });
    expect(ran.status).toBe(1);
  });
});
