import type { Cause } from './causes.js';
import { failure } from './failures.js';

/** What an operation still owes when it ends, and from when on it is tried again. */
export interface Owed {
  name: string;
  /** What exactly it is about. */
  targets: Record<string, unknown>;
  /** ISO-8601 UTC. */
  due: string;
}

/** An authority that asks for more is not believed. */
const LONGEST_DEFERRAL_MS = 7 * 24 * 3_600_000;

/** When what has to wait that long is due, ISO-8601 UTC; null where that is too long to be promised. */
export function dueAfter(ms: number): string | null {
  return ms <= LONGEST_DEFERRAL_MS ? new Date(Date.now() + ms).toISOString() : null;
}

/** The end of an operation that would have kept its parent's place for too long: it is tried again at `due`. */
export function deferred({ message, details }: Pick<Cause, 'message' | 'details'>, due: string): Error {
  return failure('Deferred', `Deferred until ${due}: ${message}`, details);
}
