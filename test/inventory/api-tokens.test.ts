import { expect, test } from 'vitest';
import * as requests from '../../src/inventory/api-requests.js';
import * as tokens from '../../src/inventory/api-tokens.js';
import type { Trx } from '../../src/inventory/database.js';
import * as tenants from '../../src/inventory/tenants.js';
import { onBothDatabases } from './databases.js';

onBothDatabases('Tokens of the API', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);
  const make = async (id: string, name: string, more: Partial<tokens.NewApiToken> = {}) => {
    const text = tokens.newTokenText();
    const token = { id, tenant: 'default', name, scope: 'read', expiresAt: null, ...more } as const;
    await write((trx) => tokens.add(trx, token, text));
    return text;
  };

  test('are known by their hash, until they expire or are revoked', async () => {
    const { db } = database.inventory;
    const [good, old] = [await make('t1', 'ci'), await make('t2', 'old', { expiresAt: '2020-01-01T00:00:00.000Z' })];
    expect(await tokens.usable(db, good)).toMatchObject({ id: 't1', tenant: 'default', scope: 'read' });
    expect(await tokens.usable(db, old)).toBeNull();
    expect(await tokens.usable(db, tokens.newTokenText())).toBeNull();
    expect(tokens.looksLikeToken(good)).toBe(true);
    expect(await tokens.stillUsable(db, 't1')).toBe(true);
    await expect(write((trx) => tokens.revoke(trx, 'another', 'ci'))).rejects.toMatchObject({ type: 'NotFound' });
    await write((trx) => tokens.revoke(trx, 'default', 'ci'));
    expect(await tokens.usable(db, good)).toBeNull();
    expect(await tokens.stillUsable(db, 't1')).toBe(false);
    await expect(write((trx) => tokens.revoke(trx, 'default', 'ci'))).rejects.toMatchObject({ type: 'NotFound' });
  });

  test('have a name that is their tenant’s alone while they live, and then free', async () => {
    await write((trx) => tenants.add(trx, { id: 'acme', name: 'acme' }));
    await make('t1', 'ci');
    await expect(make('t2', 'ci')).rejects.toMatchObject({ type: 'Conflict' });
    await make('t3', 'ci', { tenant: 'acme' });
    await write((trx) => tokens.revoke(trx, 'default', 'ci'));
    await make('t4', 'ci');
    const listed = await tokens.list(database.inventory.db, { tenant: 'default' });
    expect(listed.map(({ id, revokedAt }) => [id, revokedAt === null])).toEqual([
      ['t4', true],
      ['t1', false],
    ]);
  });

  test('have their last use noted once a minute', async () => {
    await make('t1', 'ci');
    const [unused] = await tokens.list(database.inventory.db, { tenant: 'default' });
    expect(unused && tokens.isUseDue(unused)).toBe(true);
    await write((trx) => tokens.noteUse(trx, 't1'));
    const [used] = await tokens.list(database.inventory.db, { tenant: 'default' });
    expect(used && tokens.isUseDue(used)).toBe(false);
    expect(used && tokens.isUseDue(used, Date.now() + 61_000)).toBe(true);
  });

  test('have keys under which a request is one request, and those of another token are others', async () => {
    const one = { token: 't1', key: 'k', content: 'POST /v1/sites {}' };
    const reserve = async (request: requests.KeyedRequest, operation: string) =>
      await write((trx) => requests.reserve(trx, request, operation));
    expect(await reserve(one, 'a')).toBe('a');
    expect(await reserve(one, 'b')).toBe('a');
    await expect(reserve({ ...one, content: 'POST /v1/sites {"a":1}' }, 'c')).rejects.toMatchObject({
      type: 'InvalidInput',
    });
    expect(await reserve({ ...one, token: 't2' }, 'd')).toBe('d');
    await write((trx) => requests.settle(trx, one, 'e'));
    expect(await reserve(one, 'f')).toBe('e');
    const long = { at: '2020-01-01T00:00:00.000Z' };
    await write(async (trx) => void (await trx.updateTable('apiRequests').set(long).execute()));
    expect(await reserve(one, 'g')).toBe('g');
  });
});
