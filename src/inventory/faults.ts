import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import { failure } from '../workflows/failures.js';

/** Why it may help to ask again: the database was busy, or the connection to it was lost. */
export type Transience = 'busy' | 'connection';

/** SQLSTATEs (PostgreSQL 15, appendix A) after which the whole transaction may be run again. */
const BUSY_STATES = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected
  '55P03', // lock_not_available (lock_timeout)
  '53300', // too_many_connections
]);
const CONNECTION_STATES = new Set([
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '25P03', // idle_in_transaction_session_timeout
]);
const CONNECTION_ERRNOS = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT', // of a unix socket
]);
/** node-pg gives no code to these. */
const CONNECTION_MESSAGES = /^(Connection terminated|Client has encountered a connection error|timeout exceeded when)/;

/** An error that a database or its driver raised, as opposed to one of ours or a programming error. */
export function isFault(error: unknown): error is Error & { code?: string } {
  if (!(error instanceof Error) || error instanceof ApplicationFailure) return false;
  const code: unknown = Reflect.get(error, 'code');
  if (typeof code !== 'string') return CONNECTION_MESSAGES.test(error.message);
  return code.startsWith('SQLITE_') || /^[0-9A-Z]{5}$/.test(code) || CONNECTION_ERRNOS.has(code);
}

/** Whether asking again may help, and why; false when it cannot. */
export function isTransient(error: Error & { code?: string }): Transience | false {
  const code = error.code ?? '';
  // Also its extended codes: SQLITE_BUSY_SNAPSHOT, SQLITE_BUSY_RECOVERY. PROTOCOL is a lost race for a WAL lock.
  if (code.startsWith('SQLITE_BUSY') || code === 'SQLITE_PROTOCOL' || BUSY_STATES.has(code)) return 'busy';
  const lost = CONNECTION_STATES.has(code) || code.startsWith('08') || CONNECTION_ERRNOS.has(code);
  return lost || CONNECTION_MESSAGES.test(error.message) ? 'connection' : false;
}

/** One line that is safe to log: node-pg's message names columns, its `detail` would hold values. */
export function describeFault(error: Error & { code?: string }): string {
  // An address that resolves to several is refused with an AggregateError, whose own message is empty.
  return [error.message, error.code && `(${error.code})`].filter(Boolean).join(' ');
}

/**
 * Runs `fn` until it passes without a transient fault, for at most `patience` milliseconds. The waits are asynchronous:
 * SQLite's own would block the event loop.
 * @throws InventoryUnavailable busy or away for too long, or out of order; `Unexpected` for any other fault
 */
export async function retrying<Result>(patience: number, fn: () => Promise<Result>): Promise<Result> {
  const deadline = Date.now() + patience;
  for (let pause = 4; ; pause = Math.min(pause * 2, 250)) {
    try {
      return await fn();
    } catch (error) {
      if (!isFault(error)) throw error;
      const transient = isTransient(error);
      if (!transient || Date.now() >= deadline) throw explain(error, transient);
      // Spread, so that many waiting processes do not come back together.
      await sleep(pause / 2 + Math.random() * pause);
    }
  }
}

/** Faults of the machine under the database, not of what was asked. */
const OUT_OF_ORDER: Record<string, string> = {
  SQLITE_FULL: 'the disk is full',
  SQLITE_IOERR: 'the disk cannot be read or written',
  SQLITE_CORRUPT: 'the file is damaged',
  SQLITE_NOTADB: 'the file is not an inventory',
  SQLITE_CANTOPEN: 'the file cannot be opened',
  SQLITE_PERM: 'the file may not be read',
  SQLITE_READONLY: 'it may not be written, or not outside of a transaction',
  '25006': 'it may not be written, or not outside of a transaction',
  '57014': 'a query took longer than it may',
  '53100': 'the disk of PostgreSQL is full',
  '28P01': 'PostgreSQL refused the password',
  '28000': 'PostgreSQL refused the user',
  '3D000': 'the database does not exist',
  '42501': 'the database user lacks a privilege',
};

function explain(error: Error & { code?: string }, transient: Transience | false): ApplicationFailure {
  const cause = describeFault(error);
  const code = error.code ?? '';
  if (transient === 'busy') return failure('InventoryUnavailable', 'The inventory stayed busy', { cause });
  if (transient) return failure('InventoryUnavailable', 'The inventory cannot be reached', { cause });
  const why = Object.entries(OUT_OF_ORDER).find(([known]) => code === known || code.startsWith(`${known}_`))?.[1];
  if (why) return failure('InventoryUnavailable', `The inventory is out of order: ${why}`, { cause });
  return failure('Unexpected', `The inventory refused a query: ${cause}`, { cause });
}
