import { expect, test } from 'vitest';
import { Keyring } from '../../src/inventory/keyring.js';
import * as secrets from '../../src/inventory/secrets.js';
import { failureOf, onBothDatabases } from './databases.js';

onBothDatabases('A secret of an operation', (database) => {
  const keyring = Keyring.fromObject(Keyring.generate());
  const put = async (operation: string, text: string) =>
    await database.inventory.transaction(
      async (trx) => await secrets.put(trx, keyring, { operation, name: 'password' }, Buffer.from(text)),
    );
  const take = async (operation: string) =>
    await database.inventory.transaction(
      async (trx) => (await secrets.take(trx, keyring, { operation, name: 'password' }))?.toString() ?? null,
    );

  test('is sealed where it lies, opens for its operation alone, and is given out once', async () => {
    await put('op-1', 'open sesame');
    const { db } = database.inventory;
    expect((await secrets.open(db, keyring, { operation: 'op-1', name: 'password' })).toString()).toBe('open sesame');
    const [row] = await db.selectFrom('operationSecrets').selectAll().execute();
    expect(JSON.stringify(row)).not.toContain('open sesame');
    const given = await Promise.all([take('op-1'), take('op-1')]);
    expect(given.filter((one) => one !== null)).toEqual(['open sesame']);
    expect(await failureOf(secrets.open(db, keyring, { operation: 'op-1', name: 'password' }))).toMatchObject({
      type: 'NotFound',
    });
  });

  test('put again stays what it was; nobody asked for, it is swept away', async () => {
    await put('op-3', 'first');
    await put('op-3', 'second');
    const sweep = (before: string) => database.inventory.transaction((trx) => secrets.sweep(trx, before));
    expect(await sweep('2025-12-31T00:00:00.000Z')).toBe(0);
    expect(await take('op-3')).toBe('first');
    await put('op-4', 'forgotten');
    expect(await sweep('2099-01-01T00:00:00.000Z')).toBe(1);
    expect(await take('op-4')).toBeNull();
  });
});
