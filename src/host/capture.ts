/** Takes a stream in and keeps the last bytes of what follows a mark; the rest is drained, never blocked. */
export interface Capture {
  take(chunk: Buffer): void;
  /** Null: the mark never came. */
  bytes(): Buffer | null;
}

/** What is kept of each stream of a command. */
export const OUTPUT_BYTES = 65_536;

/**
 * Everything before `mark` is noise: a .bashrc that prints, a message of the day. Of what follows the last `limit`
 * bytes are kept, because a program says at its end why it failed.
 */
export function captureAfter(mark: Buffer, limit: number): Capture {
  let before: Buffer | null = Buffer.alloc(0);
  const kept: Buffer[] = [];
  let size = 0;
  return {
    take(chunk) {
      let rest = chunk;
      if (before !== null) {
        const seen: Buffer = Buffer.concat([before, chunk]);
        const at = seen.indexOf(mark);
        if (at === -1) {
          before = seen.subarray(Math.max(0, seen.length - mark.length));
          return;
        }
        before = null;
        rest = seen.subarray(at + mark.length);
      }
      kept.push(rest);
      size += rest.length;
      while (kept[0] !== undefined && size - kept[0].length >= limit) size -= kept.shift()?.length ?? 0;
    },
    bytes: () => (before === null ? Buffer.concat(kept).subarray(Math.max(0, size - limit)) : null),
  };
}
