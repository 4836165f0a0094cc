import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openInventory } from '../../src/inventory/database.js';
import { putKeyring, sealedKeyring } from '../../src/inventory/keyring-file.js';
import { Keyring } from '../../src/inventory/keyring.js';
import { controllerId, findController } from '../../src/inventory/keys.js';
import * as operations from '../../src/inventory/operations.js';
import { createRecoveryKey } from '../../src/inventory/recovery.js';
import * as uploads from '../../src/inventory/uploads.js';
import { inventoryDatabase } from '../../src/plane/database-copy.js';
import { makeBackup, testBackup, type Made } from '../../src/plane/make-backup.js';
import { restoreControlPlane } from '../../src/plane/restore.js';
import type { SourceDatabase } from '../../src/plane/source-database.js';
import { failureOf, onBothDatabases } from '../inventory/databases.js';
import { query } from '../inventory/postgres.js';
import { activeServer, provision } from '../inventory/records.js';

const recoveryKey = createRecoveryKey();
const object = { ...Keyring.generate(), recovery: recoveryKey.publicKey };
const keyring = Keyring.fromObject(object);

let home = '';
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'chom-plane-'));
  await putKeyring(home, object);
});
afterEach(async () => await rm(home, { recursive: true, force: true }));

/** An empty database on the same server. */
async function beside(url: string): Promise<{ url: string }> {
  await query(url, 'create database restored');
  const other = new URL(url);
  other.pathname = '/restored';
  return { url: String(other) };
}

onBothDatabases('The backup of the control plane', (database) => {
  const source = () => {
    const { where } = database;
    if ('file' in where) return inventoryDatabase(where, process.env);
    // Nobody asks for it here; pg_dump and pg_restore read it from a file.
    const url = new URL(where.url);
    url.password = String.raw`p:a\ss`;
    return inventoryDatabase({ url: String(url) }, process.env);
  };

  async function fill(count: number): Promise<void> {
    await controllerId(database.inventory);
    await database.inventory.transaction(async (trx) => {
      await activeServer(trx, 'web1');
      for (let n = 0; n < count; n += 1) await operations.ask(trx, keyring, provision(`fill-${n}`));
    });
    const { inventory } = database;
    async function* content(): AsyncGenerator<Buffer> {
      yield Buffer.from([0, 255, 39, 92]);
    }
    await uploads.put({ inventory, keyring }, 'fill-0', content(), { limitBytes: 100 });
  }

  async function make(over: { test?: boolean; encrypted?: boolean; from?: SourceDatabase } = {}): Promise<Made> {
    const { test: tried = false, encrypted = true, from = source() } = over;
    return await makeBackup({
      ...{ to: join(home, 'backups'), scratch: home, test: tried, database: from },
      recovery: encrypted ? recoveryKey.publicKey : null,
      belongings: {
        controller: await findController(database.inventory.db),
        keyring: await sealedKeyring(home),
        settings: { CHOM_ACME_CONTACT: 'mara@example.org' },
      },
    });
  }

  const tryOut = async (file: string, key = recoveryKey.privateKey) =>
    await testBackup(file, { scratch: home, database: source(), opener: { recoveryKey: key } });

  test('[BD-01] [BD-02] [BD-06] is made, opened by the recovery key alone, and restored into a scratch database', async () => {
    await fill(50);
    for (const encrypted of [true, false]) {
      const made = await make({ test: true, encrypted });
      expect(made).toMatchObject({ encrypted, tested: true, keyring: true, bytes: (await stat(made.file)).size });
      expect(made.manifest.database.kind).toBe(database.kind);
      expect(made.manifest.tables.find(({ name }) => name === 'operations')?.rows).toBe(50);
      expect((await stat(made.file)).mode & 0o777).toBe(0o600);
      const bytes = await readFile(made.file);
      // The keyring is never in the clear, nor, of an encrypted one, anything else.
      for (const { key } of object.keys) expect(bytes.includes(key)).toBe(false);
      expect(bytes.includes('provision-site')).toBe(!encrypted && database.kind === 'sqlite');
      expect(await tryOut(made.file)).toEqual(made.manifest);
    }
    expect((await readdir(home)).sort()).toEqual(['backups', 'keyring.json']);
    expect(await readdir(join(home, 'backups'))).toHaveLength(2);
  });

  test('[BD-08] one that is damaged, cut, lengthened, of something else or for another key fails its test', async () => {
    await fill(5);
    for (const encrypted of [true, false]) {
      const { file } = await make({ encrypted });
      const bytes = await readFile(file);
      const spoiled: Record<string, Buffer> = {
        cut: bytes.subarray(0, bytes.length - 1),
        'cut in half': bytes.subarray(0, bytes.length / 2),
        empty: Buffer.alloc(0),
        longer: Buffer.concat([bytes, Buffer.from('x')]),
        'something else': Buffer.from('{}\n'),
      };
      for (const at of [5, 20, 300, Math.floor(bytes.length / 2), bytes.length - 400, bytes.length - 1]) {
        spoiled[`changed at ${at}`] = Buffer.from(bytes);
        spoiled[`changed at ${at}`]?.writeUInt8((bytes[at] ?? 0) ^ 0x04, at);
      }
      for (const [how, other] of Object.entries(spoiled)) {
        await writeFile(file, other);
        const { type } = await failureOf(tryOut(file));
        expect([how, type]).toEqual([how, expect.stringMatching(/^(BackupDamaged|Forbidden)$/)]);
      }
      await writeFile(file, bytes);
      await tryOut(file);
    }
    const { file } = await make();
    expect((await failureOf(tryOut(file, createRecoveryKey().privateKey))).type).toBe('Forbidden');
    expect((await failureOf(tryOut(join(home, 'missing')))).type).toBe('NotFound');
  });

  test('[BD-06] [BD-08] a copy that lacks a row, or has another one, fails its test, and no backup is left', async () => {
    await fill(3);
    const honest = source();
    for (const [over, cause] of [
      [{ rows: 4 }, 'table operations has 3 rows instead of 4'],
      [{ digest: 'other' }, 'table operations holds other rows'],
    ] as const) {
      const from: SourceDatabase = {
        ...honest,
        async copy(directory) {
          const copied = await honest.copy(directory);
          return {
            ...copied,
            tables: copied.tables.map((one) => (one.name === 'operations' ? { ...one, ...over } : one)),
          };
        },
      };
      const { type, details } = await failureOf(make({ test: true, from }));
      expect([type, details.cause]).toEqual(['BackupDamaged', cause]);
      expect(await readdir(join(home, 'backups'))).toEqual([]);
    }
  });

  test('takes along what a process that was killed has left, once it is old', async () => {
    await fill(1);
    const old = new Date(Date.now() - 30 * 3_600_000);
    for (const name of ['backup-ABCdef', join('backups', '.control-plane-1.chom.partial')]) {
      await mkdir(join(home, name), { recursive: true });
      await utimes(join(home, name), old, old);
    }
    await mkdir(join(home, 'backup-atwork'));
    const { name } = await make();
    expect((await readdir(home)).sort()).toEqual(['backup-atwork', 'backups', 'keyring.json']);
    expect(await readdir(join(home, 'backups'))).toEqual([name]);
  });

  test('is of one moment, however much is written meanwhile', async () => {
    await fill(200);
    let n = 0;
    const end = new AbortController();
    const writing = (async () => {
      while (!end.signal.aborted) {
        n += 1;
        const id = `late-${n}`;
        await database.inventory.transaction(async (trx) => await operations.ask(trx, keyring, provision(id)));
        // SQLite answers at once: without this nobody else would get a turn.
        await turn();
      }
    })();
    try {
      for (let round = 0; round < 3; round += 1) await make({ test: true });
    } finally {
      end.abort();
      await writing;
    }
    expect(n).toBeGreaterThan(0);
  });

  test('comes back on a machine that has nothing, with its keys, and never over anything', async () => {
    await fill(4);
    const controller = await findController(database.inventory.db);
    const { file, manifest } = await make();
    const where =
      'url' in database.where ? await beside(database.where.url) : { file: join(home, 'new', 'inventory.db') };
    const order = { home: join(home, 'new'), where, recoveryKey: recoveryKey.privateKey, environment: process.env };
    const damaged = join(home, 'damaged');
    await writeFile(damaged, (await readFile(file)).subarray(0, -10));
    expect((await failureOf(restoreControlPlane(damaged, order))).type).toBe('BackupDamaged');
    const wrong = { ...order, recoveryKey: createRecoveryKey().privateKey };
    expect((await failureOf(restoreControlPlane(file, wrong))).type).toBe('Forbidden');
    expect(await readdir(order.home)).toEqual([]);
    const restored = await restoreControlPlane(file, order);
    expect(restored).toMatchObject({ manifest, settings: { CHOM_ACME_CONTACT: 'mara@example.org' } });
    const files = database.kind === 'sqlite' ? ['inventory.db', 'keyring.json'] : ['keyring.json'];
    expect((await readdir(order.home)).sort()).toEqual(files);
    const inventory = await openInventory(where);
    expect(await findController(inventory.db)).toBe(controller);
    const row = await operations.byId(inventory.db, 'fill-3');
    expect(operations.openInput(row, keyring)).toEqual({ domain: 'example.org' });
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'Interrupted' });
    await inventory.close();
    expect((await failureOf(restoreControlPlane(file, order))).type).toBe('Conflict');
  });
});
