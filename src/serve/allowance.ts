/** How often something may be done: so many at once, and then so many a second. */
export interface Rate {
  burst: number;
  perSecond: number;
}

interface Bucket {
  left: number;
  /** Milliseconds since 1970. */
  at: number;
}

/** Beyond so many, those that are full again are forgotten; where all are in use, all are. */
const MOST_KEYS = 20_000;

/** Counts what each key has used up, in the memory of this process. */
export class Allowance {
  private readonly buckets = new Map<string, Bucket>();

  constructor(private readonly rate: Rate) {}

  /** Uses one up. Returns 0, or in how many whole seconds there is one again. */
  take(key: string, now = Date.now()): number {
    const wait = this.wait(key, now);
    if (wait > 0) return wait;
    const { left } = this.at(key, now);
    if (this.buckets.size >= MOST_KEYS) this.forget(now);
    this.buckets.set(key, { left: left - 1, at: now });
    return 0;
  }

  /** As `take`, and uses none up. */
  wait(key: string, now = Date.now()): number {
    const { left } = this.at(key, now);
    return left >= 1 ? 0 : Math.ceil((1 - left) / this.rate.perSecond);
  }

  private at(key: string, now: number): Bucket {
    const { burst, perSecond } = this.rate;
    const { left, at } = this.buckets.get(key) ?? { left: burst, at: now };
    return { left: Math.min(burst, left + (Math.max(0, now - at) / 1000) * perSecond), at: now };
  }

  private forget(now: number): void {
    for (const key of this.buckets.keys()) if (this.at(key, now).left >= this.rate.burst) this.buckets.delete(key);
    if (this.buckets.size >= MOST_KEYS) this.buckets.clear();
  }
}
