import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { openChunks, sealChunks } from '../../src/plane/chunks.js';

const key = randomBytes(32);
const bound = Buffer.from('header');
/** Sizes around those of a chunk, and of a sealed one. */
const size = fc.oneof(
  fc.integer({ min: 0, max: 300_000 }),
  fc.constantFrom(0, 1, 65_535, 65_536, 65_537, 65_552, 131_072, 131_104),
);

async function* pieces(bytes: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let from = 0; from < bytes.length; from += length) yield bytes.subarray(from, from + length);
}

async function all(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

const sealed = async (plain: Buffer, length = 10_000) => await all(sealChunks(key, bound, pieces(plain, length)));
const opened = async (bytes: Buffer, length = 10_000) => await all(openChunks(key, bound, pieces(bytes, length)));

test('[BD-02] what is encrypted while it streams comes out as it went in, however it is cut', async () => {
  await fc.assert(
    fc.asyncProperty(size, fc.integer({ min: 1000, max: 200_000 }), async (length, piece) => {
      const plain = randomBytes(length);
      const bytes = await sealed(plain, piece);
      expect(bytes.length).toBe(length + 16 * Math.max(1, Math.ceil(length / 65_536)));
      expect((await opened(bytes, 200_001 - piece)).equals(plain)).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test('[BD-02] a bit that changed, a byte that is missing or too many, a chunk left out or moved is noticed', async () => {
  const bytes = await sealed(randomBytes(200_000));
  const chunk = 65_552;
  const part = (n: number) => bytes.subarray(n * chunk, (n + 1) * chunk);
  const spoiled = [
    ...[0, 70_000, bytes.length - 1].map((at) => {
      const other = Buffer.from(bytes);
      other[at] = (other[at] ?? 0) ^ 1;
      return other;
    }),
    ...[0, 10, chunk, 2 * chunk, bytes.length - 1].map((length) => bytes.subarray(0, length)),
    Buffer.concat([bytes, Buffer.from('x')]),
    Buffer.concat([part(1), part(0), part(2), part(3)]),
    Buffer.concat([part(0), part(2), part(3)]),
    Buffer.concat([part(0), part(1), part(1), part(3)]),
  ];
  for (const one of spoiled) await expect(opened(one)).rejects.toThrow();
  await expect(all(openChunks(key, Buffer.from('other'), pieces(bytes, 9999)))).rejects.toThrow();
  await expect(all(openChunks(randomBytes(32), bound, pieces(bytes, 9999)))).rejects.toThrow();
});

test('memory holds a few chunks, whatever the size of the whole', async () => {
  const length = 128 * 1024 * 1024;
  const piece = Buffer.alloc(1024 * 1024);
  async function* large(): AsyncGenerator<Buffer> {
    for (let n = 0; n < length; n += piece.length) yield piece;
  }
  const before = process.memoryUsage().rss;
  let [bytes, most] = [0, 0];
  for await (const some of openChunks(key, bound, sealChunks(key, bound, large()))) {
    bytes += some.length;
    most = Math.max(most, process.memoryUsage().rss - before);
  }
  expect(bytes).toBe(length);
  expect(most).toBeLessThan(length / 2);
});
