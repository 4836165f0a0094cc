import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { captureAfter } from '../../src/host/capture.js';

const MARK = Buffer.from('mark:42\n');

/** Cuts bytes at arbitrary places, as a network does. */
function pieces(bytes: Buffer, cuts: number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].toSorted((a, b) => a - b);
  return [...at, bytes.length].map((end, n) => bytes.subarray(n === 0 ? 0 : at[n - 1], end));
}

describe('captureAfter', () => {
  it('keeps the last bytes after the mark, however the stream is cut', () => {
    const bytes = fc.uint8Array({ maxLength: 60 }).map((value) => Buffer.from(value));
    fc.assert(
      fc.property(
        bytes,
        bytes,
        fc.array(fc.nat(), { maxLength: 12 }),
        fc.integer({ min: 1, max: 80 }),
        (noise, said, cuts, limit) => {
          const capture = captureAfter(MARK, limit);
          for (const piece of pieces(Buffer.concat([noise, MARK, said]), cuts)) capture.take(piece);
          expect(capture.bytes()).toEqual(Buffer.from(said.subarray(Math.max(0, said.length - limit))));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('gives null where the mark never came', () => {
    const capture = captureAfter(MARK, 10);
    capture.take(Buffer.from('Welcome to Debian! mark:4'));
    expect(capture.bytes()).toBeNull();
  });

  it('holds a bounded part of an endless stream', () => {
    const capture = captureAfter(MARK, 1_000);
    capture.take(MARK);
    for (let n = 0; n < 1_000; n++) capture.take(Buffer.alloc(10_000, n % 256));
    expect(capture.bytes()).toEqual(Buffer.alloc(1_000, 999 % 256));
  });
});
