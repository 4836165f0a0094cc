import { createHash } from 'node:crypto';

/** What of a certificate decides when it is renewed; times are ISO-8601 UTC. */
export interface Lifetime {
  notBefore: string;
  notAfter: string;
}

/** When the authority wants a certificate renewed (RFC 9773); ISO-8601 UTC. */
export interface RenewalWindow {
  start: string;
  end: string;
}

/** How near its end a certificate is: nothing to tell, or how loudly. */
export type ExpiryStage = 'overdue' | 'fifth' | 'twentieth' | 'expired';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A certificate that lasts less is renewed at half its lifetime. */
const SHORT_LIFE_MS = 10 * DAY;
/** Of its lifetime: from then on what the authority advises counts no more, and every way to a certificate is tried. */
const EMERGENCY = 1 / 20;
/** Of its lifetime: to both sides of the third, so that those of one day are not renewed in one hour. */
const SPREAD = 1 / 100;

/** After the first failure, the second, … (letsencrypt.org/docs/integration-guide, 2026-08); the last one repeats. */
const PAUSES_MS = [MINUTE, 10 * MINUTE, 100 * MINUTE, DAY];
/** No pause is shortened below it: an authority takes 5 failed validations of a name an hour. */
const SHORTEST_CUT_MS = HOUR;
/** After its end nothing gets worse by waiting. */
const PAUSE_AFTER_END_MS = 6 * HOUR;
/** An authority that asks for more is not believed. */
const LONGEST_HOLD_MS = 7 * DAY;
/** So long it is tried at least, and in any case until the certificate has ended. */
const PERSISTENCE_MS = 30 * DAY;

/** RFC 9773 §4.3.3, and Let's Encrypt wants to be asked twice a day (letsencrypt.org/docs/integration-guide, 2026-08). */
const SOONEST_ASK_MS = MINUTE;
const LATEST_ASK_MS = 12 * HOUR;
const ASK_AFTER_FAILURE_MS = 6 * HOUR;

/**
 * When it is time to renew: a third of the lifetime is left, or half of it where it lasts less than ten days
 * (letsencrypt.org/docs/integration-guide, 2026-08). Milliseconds since the epoch.
 */
export function renewalDue({ notBefore, notAfter }: Lifetime): number {
  const [from, until] = [Date.parse(notBefore), Date.parse(notAfter)];
  const life = until - from;
  return until - life / (life < SHORT_LIFE_MS ? 2 : 3);
}

/** When a twentieth of the lifetime is left. Milliseconds since the epoch. */
export function emergencyAt({ notBefore, notAfter }: Lifetime): number {
  const [from, until] = [Date.parse(notBefore), Date.parse(notAfter)];
  return until - (until - from) * EMERGENCY;
}

/**
 * When this certificate is to be renewed: an instant of the authority's window where it offers one, else about when a third
 * of the lifetime is left, and never later than its emergency. `key` is what it is told from others by: the same one always has
 * the same instant, and of many the instants are spread evenly. Milliseconds since the epoch.
 */
export function scheduledFor(life: Lifetime, window: RenewalWindow | null, key: string): number {
  const advised = window === null ? withSpread(life, key) : withinWindow(window, key);
  return Math.min(advised, emergencyAt(life));
}

function withSpread(life: Lifetime, key: string): number {
  const length = Date.parse(life.notAfter) - Date.parse(life.notBefore);
  return renewalDue(life) + (2 * fraction(key) - 1) * length * SPREAD;
}

function withinWindow({ start, end }: RenewalWindow, key: string): number {
  const [from, until] = [Date.parse(start), Date.parse(end)];
  // Only where the window has moved is another instant picked.
  return from + fraction(`${key} ${start} ${end}`) * (until - from);
}

/** Whether an authority's answer is a window: it ends after it has begun (RFC 9773 §4.2). */
export function isWindow({ start, end }: RenewalWindow): boolean {
  return Date.parse(start) < Date.parse(end);
}

/** When the authority is asked for its window again; null: it gave no answer that can be used. Milliseconds. */
export function askAgainAfter(retryAfterSeconds: number | null, answered: boolean): number {
  if (!answered) return ASK_AFTER_FAILURE_MS;
  if (retryAfterSeconds === null) return ASK_AFTER_FAILURE_MS;
  return Math.min(LATEST_ASK_MS, Math.max(SOONEST_ASK_MS, retryAfterSeconds * 1000));
}

/**
 * How long to wait after the `failures`th failure in a row, in milliseconds: a minute, ten, a hundred, then a day; less where
 * more than a tenth of what is left of the certificate would go by, but for that an hour at least. `key`: as above; spreads.
 */
export function pauseAfter(failures: number, life: Lifetime, now: number, key: string): number {
  const step = PAUSES_MS[Math.min(Math.max(failures, 1), PAUSES_MS.length) - 1] ?? DAY;
  const left = Date.parse(life.notAfter) - now;
  const cut =
    left > 0
      ? Math.max(Math.min(step, left / 10), Math.min(step, SHORTEST_CUT_MS))
      : Math.min(step, PAUSE_AFTER_END_MS);
  return cut * (1 + fraction(`${key} ${failures}`) / 10);
}

/** How long an authority is left alone that asked for so many seconds, in milliseconds. */
export function holdFor(retryAfterSeconds: number): number {
  return Math.min(LONGEST_HOLD_MS, Math.max(0, retryAfterSeconds * 1000));
}

/** Whether nobody tries by himself any more what has failed since then (milliseconds). */
export function givesUp(life: Lifetime, failingSince: number, now: number): boolean {
  return now >= failingSince + PERSISTENCE_MS && now >= Date.parse(life.notAfter);
}

/**
 * What is to be told of a certificate that is in service. `scheduled`: when it was to be renewed, milliseconds. `overdue`: that
 * was a day ago, or a twentieth of the lifetime where that is less; then a fifth, a twentieth, and nothing of the lifetime is left.
 */
export function expiryStage(life: Lifetime, scheduled: number, now: number): ExpiryStage | null {
  const reached = stages(life, scheduled).filter(({ at }) => at <= now);
  return reached.at(-1)?.stage ?? null;
}

/** When the next thing is to be told of it after `now`; null: all was. Milliseconds since the epoch. */
export function nextStage(life: Lifetime, scheduled: number, now: number): number | null {
  const ahead = stages(life, scheduled).map(({ at }) => at);
  const next = Math.min(...ahead.filter((at) => at > now));
  return Number.isFinite(next) ? next : null;
}

/** From the mildest to the worst, and when each is reached. */
function stages(life: Lifetime, scheduled: number): { stage: ExpiryStage; at: number }[] {
  const until = Date.parse(life.notAfter);
  const length = until - Date.parse(life.notBefore);
  return [
    { stage: 'overdue', at: scheduled + Math.min(DAY, length * EMERGENCY) },
    { stage: 'fifth', at: until - length / 5 },
    { stage: 'twentieth', at: emergencyAt(life) },
    { stage: 'expired', at: until },
  ];
}

/** Between 0 and 1, the same for the same text. */
function fraction(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE() / 2 ** 32;
}
