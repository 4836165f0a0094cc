/** After each failed try, in seconds; the last one over and over. */
const PAUSES = [5, 15, 60, 300, 900, 1800, 3600] as const;

/** A receiver that failed for so long is given up. */
const PERSISTENCE_MILLISECONDS = 24 * 3_600_000;

/** A receiver may ask for no more than this, in seconds. */
const LONGEST_ASKED = 6 * 3600;

/**
 * When a delivery is tried again, in milliseconds since 1970: after growing pauses, or later where the receiver asks for
 * it, for 24 hours since its first try. Null: it is given up.
 */
export function nextTry(
  { tries, firstTriedAt }: { tries: number; firstTriedAt: number },
  now: number,
  retryAfterSeconds = 0,
): number | null {
  const pause = PAUSES[Math.min(tries, PAUSES.length) - 1] ?? PAUSES[0];
  const at = now + 1000 * Math.max(pause, Math.min(retryAfterSeconds, LONGEST_ASKED));
  return at - firstTriedAt > PERSISTENCE_MILLISECONDS ? null : at;
}
