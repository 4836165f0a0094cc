import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import * as uploads from '../../src/inventory/uploads.js';
import { failureOf, onBothDatabases } from './databases.js';

async function* inPieces(content: Buffer, size: number): AsyncIterable<Buffer> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

onBothDatabases('An upload', (database) => {
  const put = (content: AsyncIterable<Uint8Array>, limitBytes = 10_000_000) =>
    uploads.put(database.inventory, content, { limitBytes });
  const read = async (sha256: string) => {
    const pieces: Buffer[] = [];
    for await (const piece of uploads.read(database.inventory.db, sha256)) pieces.push(piece);
    return Buffer.concat(pieces);
  };
  const counts = async () => [
    (await database.inventory.db.selectFrom('uploads').select('id').execute()).length,
    (await database.inventory.db.selectFrom('uploadChunks').select('n').execute()).length,
  ];

  test('comes back byte for byte, and is kept once', async () => {
    const content = randomBytes(2_500_000);
    const sha256 = createHash('sha256').update(content).digest('hex');
    expect(await put(inPieces(content, 65_536))).toEqual({ sha256, bytes: content.length });
    expect(await put(inPieces(content, 3_000_000))).toEqual({ sha256, bytes: content.length });
    expect((await read(sha256)).equals(content)).toBe(true);
    expect(await counts()).toEqual([1, 3]);
    await database.inventory.transaction((trx) => uploads.remove(trx, sha256));
    await database.inventory.transaction((trx) => uploads.remove(trx, sha256));
    expect(await counts()).toEqual([0, 0]);
    expect(await failureOf(read(sha256))).toMatchObject({ type: 'NotFound' });
  });

  test('that is too large, empty or broken off leaves nothing', async () => {
    expect(await failureOf(put(inPieces(randomBytes(1_500_000), 1000), 1_400_000))).toMatchObject({
      type: 'InvalidInput',
      message: 'The upload is larger than 1400000 bytes',
    });
    expect(await failureOf(put(inPieces(Buffer.alloc(0), 1)))).toMatchObject({ type: 'InvalidInput' });
    const broken = put(
      (async function* () {
        yield randomBytes(1_200_000);
        throw new Error('cable cut');
      })(),
    );
    await expect(broken).rejects.toThrow('cable cut');
    expect(await counts()).toEqual([0, 0]);
  });

  test('that a killed client left behind is swept away', async () => {
    await database.inventory.transaction(async (trx) => {
      const createdAt = '2026-01-01T00:00:00.000Z';
      await trx.insertInto('uploads').values({ id: 'u1', sha256: null, size: 0, createdAt, operation: null }).execute();
      await trx
        .insertInto('uploadChunks')
        .values({ upload: 'u1', n: 0, bytes: Buffer.from('half') })
        .execute();
    });
    const { sha256 } = await put(inPieces(Buffer.from('whole'), 2));
    const sweep = (before: string) => database.inventory.transaction((trx) => uploads.sweep(trx, before));
    expect(await sweep('2025-12-31T00:00:00.000Z')).toBe(0);
    expect(await sweep('2099-01-01T00:00:00.000Z')).toBe(1);
    expect(await counts()).toEqual([1, 1]);
    expect((await read(sha256)).toString()).toBe('whole');
  });
});
