import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Inventory } from '../../src/inventory/database.js';
import { Keyring } from '../../src/inventory/keyring.js';
import * as uploads from '../../src/inventory/uploads.js';
import { failureOf, onBothDatabases } from './databases.js';

async function* inPieces(content: Buffer, size: number): AsyncIterable<Buffer> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

onBothDatabases('An upload', (database) => {
  const keyring = Keyring.fromObject(Keyring.generate());
  const put = ({ inventory }: { inventory: Inventory }, content: AsyncIterable<Uint8Array>, limitBytes = 10_000_000) =>
    uploads.put({ inventory, keyring }, 'op-1', content, { limitBytes });
  const read = async () => {
    const pieces: Buffer[] = [];
    for await (const piece of uploads.read(database.inventory.db, keyring, 'op-1')) pieces.push(piece);
    return Buffer.concat(pieces);
  };
  const counts = async () => [
    (await database.inventory.db.selectFrom('uploads').select('operation').execute()).length,
    (await database.inventory.db.selectFrom('uploadChunks').select('n').execute()).length,
  ];

  test('comes back byte for byte, is kept once, and cannot be read where it lies', async () => {
    const content = Buffer.concat([Buffer.from('DB_PASSWORD=open sesame'), randomBytes(2_500_000)]);
    const sha256 = createHash('sha256').update(content).digest('hex');
    expect(await put(database, inPieces(content, 65_536))).toEqual({ sha256, bytes: content.length });
    expect(await put(database, inPieces(content, 3_000_000))).toEqual({ sha256, bytes: content.length });
    expect((await read()).equals(content)).toBe(true);
    expect(await counts()).toEqual([1, 3]);
    const lying = await database.inventory.db.selectFrom('uploadChunks').select('bytes').where('n', '=', 0).execute();
    expect(lying[0]?.bytes.includes('open sesame')).toBe(false);
    await database.inventory.transaction((trx) => uploads.remove(trx, 'op-1'));
    await database.inventory.transaction((trx) => uploads.remove(trx, 'op-1'));
    expect(await counts()).toEqual([0, 0]);
    expect(await failureOf(read())).toMatchObject({ type: 'NotFound' });
  });

  test('that is too large, empty or broken off leaves nothing', async () => {
    expect(await failureOf(put(database, inPieces(randomBytes(1_500_000), 1000), 1_400_000))).toMatchObject({
      type: 'InvalidInput',
      message: 'The upload is larger than 1400000 bytes',
    });
    expect(await failureOf(put(database, inPieces(Buffer.alloc(0), 1)))).toMatchObject({ type: 'InvalidInput' });
    const broken = put(
      database,
      (async function* () {
        yield randomBytes(1_200_000);
        throw new Error('cable cut');
      })(),
    );
    await expect(broken).rejects.toThrow('cable cut');
    expect(await counts()).toEqual([0, 0]);
  });

  test('that a killed client left behind is swept away', async () => {
    await put(database, inPieces(Buffer.from('whole'), 2));
    const sweep = (before: string) => database.inventory.transaction((trx) => uploads.sweep(trx, before));
    expect(await sweep('2025-12-31T00:00:00.000Z')).toBe(0);
    expect(await sweep('2099-01-01T00:00:00.000Z')).toBe(1);
    expect(await counts()).toEqual([0, 0]);
  });
});
