import type { Db } from '../inventory/database.js';
import type { Obligation } from '../inventory/obligations.js';
import type { Operation } from '../inventory/operations.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { KEPT_CERTIFICATE, SITE_REMOVAL } from '../workflows/deletion-plan.js';
import { UNDO } from '../workflows/plans.js';
import { OLD_KEY } from '../workflows/rotation-plan.js';
import { UNDO_WINDOW } from '../workflows/restore-plan.js';
import type { ObligationDocument, OperationDocument } from './documents/operation.js';
import { problemOfOperation } from './problem.js';
import { duration } from './text.js';

/** An operation as programs read it. */
export function operationDocument(operation: Operation): OperationDocument {
  const { id, kind, state, parent, warnings, askedAt, startsAt, startedAt, endedAt, outcome } = operation;
  const { type, message, server, step, cause, next } = problemOfOperation(operation);
  const error = outcome === 'failed' ? { type, message, server, step, cause, next } : null;
  return {
    operation: id,
    kind,
    status: statusOf(operation),
    state,
    parent,
    warnings,
    askedAt,
    startsAt,
    startedAt,
    endedAt,
    error,
  };
}

/**
 * How it ended, or that it waits or runs. `asked` counts as running: a worker will take it, or is missing. One that was
 * deferred has failed, and is tried again by itself.
 */
export function statusOf(operation: Operation): OperationDocument['status'] {
  const { outcome, failureType, state } = operation;
  if (outcome === 'failed' && failureType === 'Deferred') return 'deferred';
  if (isDelayed(operation)) return 'delayed';
  return outcome ?? (state === 'waiting' ? 'waiting' : 'running');
}

/** Whether its time has not come yet. */
export function isDelayed({ outcome, state, startsAt }: Operation): boolean {
  return outcome === null && state === 'asked' && startsAt !== null && Date.parse(startsAt) > Date.now();
}

/** What is owed, as programs read it. */
export function obligationDocument({ operation, name, due, tries }: Obligation): ObligationDocument {
  return { operation, name, due, tries };
}

/** When what is still owed is tried, for people; the first of several. */
export function describeOwed([owed, ...more]: readonly Obligation[]): string | undefined {
  if (!owed) return undefined;
  const when = Date.parse(owed.due) > Date.now() ? `at ${owed.due}` : 'now';
  const also = more.length > 0 ? ` (and ${more.length} more)` : '';
  return `${WHAT[owed.name]?.(owed, when) ?? `${owed.name} is tried again ${when}`}${also}`;
}

const WHAT: Readonly<Record<string, (owed: Obligation, when: string) => string>> = {
  [UNDO]: ({ operation }, when) => `what ${operation} left is taken back ${when}`,
  [OLD_KEY]: (_, when) => `the old key is removed ${when}, once a backup of CHOM itself holds the new one`,
  [UNDO_WINDOW]: ({ operation }, when) =>
    `what was there before is removed ${when}; until then: chom backup undo-restore ${operation}`,
  [SITE_REMOVAL]: (_owed, when) => `what is left of the site is taken away ${when}`,
  [KEPT_CERTIFICATE]: (_owed, when) => `the certificate and key that were kept are removed ${when}`,
};

/** What it works on, for people. */
export async function targetOf(db: Db, { site, server }: Operation): Promise<string> {
  const [ofSite, ofServer] = await Promise.all([
    site === null
      ? null
      : sites.byId(db, site).then(
          ({ domain }) => domain,
          () => site,
        ),
    server === null
      ? null
      : servers.byId(db, server).then(
          ({ name }) => name,
          () => server,
        ),
  ]);
  return [ofSite, ofServer].filter(Boolean).join(' on ');
}

/** How long it took, or has been at work; empty before it began. */
export function tookOf({ startedAt, endedAt }: Operation): string {
  if (startedAt === null) return '';
  return duration((endedAt === null ? Date.now() : Date.parse(endedAt)) - Date.parse(startedAt));
}
