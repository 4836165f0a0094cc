import { readFile } from 'node:fs/promises';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import * as credentials from '../../src/inventory/credentials.js';
import type { Inventory, Trx } from '../../src/inventory/database.js';
import * as keyIds from '../../src/inventory/key-ids.js';
import { Keyring, type KeyringObject } from '../../src/inventory/keyring.js';
import { reseal, sealedBy } from '../../src/inventory/reseal.js';
import { SEALED_COLUMNS } from '../../src/inventory/sealed-columns.js';
import { missingKeys } from '../../src/inventory/sealing.js';
import { failureOf, onBothDatabases } from './databases.js';
import { openEverything, sealEverywhere } from './sealed-rows.js';

const nameOf = ({ table, column }: { table: string; column: string }) => `${table}.${column}`;
const ALL = SEALED_COLUMNS.map((column) => nameOf(column)).toSorted();

/** A keyring with one key; one with that and another, which seals; and one with the other alone. */
function keyrings(): [Keyring, Keyring, Keyring] {
  const old = Keyring.generate();
  const both = Keyring.withNext(old);
  const next = both.rotating ?? '';
  const alone: KeyringObject = { current: next, keys: both.keys.filter(({ id }) => id === next) };
  return [Keyring.fromObject(old), Keyring.fromObject({ ...both, current: next }), Keyring.fromObject(alone)];
}

/** The same inventory, for somebody who dies at his `n`th transaction, before it or after it. */
function dying(inventory: Inventory, n: number, when: 'before' | 'after'): Inventory {
  let left = n;
  return {
    ...inventory,
    db: inventory.db,
    async transaction<Result>(fn: (trx: Trx) => Promise<Result>): Promise<Result> {
      left -= 1;
      if (left === 0 && when === 'before') throw new Error('killed');
      const result = await inventory.transaction(fn);
      if (left === 0) throw new Error('killed');
      return result;
    },
  };
}

test('the list of sealed columns is that of the schema', async () => {
  const { text, tables } = await readSchema();
  const found = tables.flatMap(({ table, type }) => {
    const [, body = ''] = new RegExp(`export interface ${type} \\{\\n(.*?)\\n\\}`, 's').exec(text) ?? [];
    const columns = body.matchAll(/(?:^ {2}\/\*\* ([^\n]*) \*\/\n)?^ {2}(\w+): [^;]+;$/gm);
    return [...columns].flatMap(([, about = '', column = '']) => {
      return /sealed/i.test(column) || /^sealed/i.test(about) ? [nameOf({ table, column })] : [];
    });
  });
  expect(found.length).toBeGreaterThan(10);
  expect(found.toSorted()).toEqual(ALL);
});

onBothDatabases('a new key', (database) => {
  const current = () => database.inventory;

  test('seals everything that others sealed, and all of it is what it was', async () => {
    const [old, both, alone] = keyrings();
    await sealEverywhere(current(), old);
    const before = await openEverything(current(), old);
    expect(Object.keys(await sealedBy(current().db, old.current)).toSorted()).toEqual(ALL);
    expect(await reseal(current(), both)).toEqual({ values: SEALED_COLUMNS.length + 1, unreadable: [] });
    expect(await openEverything(current(), alone)).toEqual(before);
    expect(await sealedBy(current().db, old.current)).toEqual({});
    expect(await reseal(current(), both)).toEqual({ values: 0, unreadable: [] });
    expect(await everyCell(current())).not.toContain(`chom1.${old.current}`);
  });

  test('goes on wherever it was killed, and at each point everything opens', async () => {
    const [old, both, alone] = keyrings();
    await sealEverywhere(current(), old, 210);
    const before = await openEverything(current(), old);
    for (let n = 1; ; n += 1) {
      const killed = await reseal(dying(current(), n, n % 2 === 0 ? 'before' : 'after'), both).then(
        () => false,
        () => true,
      );
      expect(await openEverything(current(), both)).toEqual(before);
      if (!killed) break;
      expect(n).toBeLessThan(40);
    }
    expect(await openEverything(current(), alone)).toEqual(before);
  });

  test('leaves what somebody writes meanwhile as it was written', async () => {
    const [old, both] = keyrings();
    await sealEverywhere(current(), old);
    const context = credentials.context('key-0000');
    const written = both.seal(Buffer.from('written meanwhile'), context);
    let first = true;
    const racing: Inventory = {
      ...current(),
      db: current().db,
      async transaction(fn) {
        if (first) {
          first = false;
          await current().transaction(async (trx) => {
            await trx.updateTable('credentials').set({ sealed: written }).where('id', '=', 'key-0000').execute();
          });
        }
        return await current().transaction(fn);
      },
    };
    await reseal(racing, both);
    const { sealed } = await credentials.byId(current().db, 'key-0000');
    expect(sealed).toBe(written);
  });

  test('passes over what cannot be opened, and says what that is', async () => {
    const [old, both] = keyrings();
    await sealEverywhere(current(), old);
    const stranger = Keyring.fromObject(Keyring.generate());
    const sealed = stranger.seal(Buffer.from('x'), credentials.context('key-0000'));
    await current().transaction(async (trx) => void (await trx.updateTable('credentials').set({ sealed }).execute()));
    const { unreadable } = await reseal(current(), both);
    const cause = `this keyring does not hold key ${stranger.current}`;
    expect(unreadable).toEqual([{ column: 'credentials.sealed', key: 'key-0000', cause }]);
  });

  test('lets the old one be retired once nothing needs it, and nobody seals with that any more', async () => {
    const [old, both, alone] = keyrings();
    await sealEverywhere(current(), old);
    const retire = async () => await current().transaction(async (trx) => await keyIds.retire(trx, old.current));
    expect(await failureOf(retire())).toMatchObject({
      type: 'Conflict',
      message: expect.stringContaining('of undos.args'),
    });
    await reseal(current(), both);
    expect(await missingKeys(current().db, alone)).toEqual([old.current]);
    await retire();
    await retire();
    expect(await missingKeys(current().db, alone)).toEqual([]);
    const late = { id: 'late', server: null, kind: 'acme-account', public: null, state: 'current' } as const;
    const refused = failureOf(
      current().transaction(async (trx) => await credentials.put(trx, old, { ...late, secret: Buffer.from('x') })),
    );
    expect(await refused).toMatchObject({ type: 'Forbidden', message: expect.stringContaining('was retired') });
  });
});

async function readSchema(): Promise<{ text: string; tables: { table: string; type: string }[] }> {
  const text = await readFile(new URL('../../src/inventory/schema.ts', import.meta.url), 'utf8');
  const tables = text.matchAll(/^ {2}(\w+): (\w+Table);$/gm);
  return { text, tables: [...tables].map(([, table = '', type = '']) => ({ table, type })) };
}

/** Every value of every table, as text. */
async function everyCell({ db }: Inventory): Promise<string> {
  const { tables } = await readSchema();
  const all = await Promise.all(
    tables.map(async ({ table }) => (await sql`select * from ${sql.table(table)}`.execute(db)).rows),
  );
  return JSON.stringify(all, (_, value: unknown) =>
    typeof value === 'object' && value !== null && 'type' in value && 'data' in value
      ? Buffer.from(value.data as number[]).toString('latin1')
      : value,
  );
}
