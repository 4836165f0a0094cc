import { CERTIFICATE_DAYS, KEPT_CERTIFICATE, SITE_REMOVAL } from '../workflows/deletion-plan.js';
import { failure } from '../workflows/failures.js';
import * as certificates from './certificates.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import * as obligations from './obligations.js';
import * as sites from './sites.js';

/** The operation that deletes goes on at once; somebody else only where it died. */
const FIRST_TRY_MS = 300_000;
const DAY_MS = 86_400_000;

/**
 * A site is given up: from here on it is `deleting`, it never comes back, and its removal is owed. Its names stay its own
 * until nothing of it is left. Whatever else was owed for it is owed no more. The same operation again changes nothing.
 * @throws Conflict it is not in service
 */
export async function begin(trx: Trx, { site: id, operation }: { site: string; operation: string }): Promise<void> {
  const site = await sites.byId(trx, id);
  if (site.deletedBy === operation) return;
  refuseUnready(site);
  await obligations.cancel(trx, { site: id });
  await trx.updateTable('sites').set({ deletedBy: operation, updatedAt: now() }).where('id', '=', id).execute();
  await obligations.add(trx, { operation, name: SITE_REMOVAL, targets: { site: id }, due: after(FIRST_TRY_MS) });
}

/** @throws Conflict it is being deleted already, or never was in service */
export function refuseUnready(site: sites.Site): void {
  const { domain, status, deletedBy } = site;
  if (sites.isSettled(site)) return;
  throw failure('Conflict', `Site ${domain} is ${status}`, {
    ...(deletedBy !== null && { holder: deletedBy }),
    cause: 'what is deleted is a site in service',
    next: deletedBy === null ? `chom site show ${domain}` : `chom op show ${deletedBy}`,
  });
}

/** Whether its removal is still owed. */
export async function isOwed(db: Db, id: string): Promise<boolean> {
  return (await sites.byId(db, id)).status === 'deleting';
}

/**
 * Nothing of the site is on its server any more, but for certificate and key where they are kept: whose end is owed. Its
 * names are free, its id and uid are not. Returns until when they are kept. The same again changes nothing.
 */
export async function finish(
  trx: Trx,
  { site: id, certificate }: { site: string; certificate: boolean },
): Promise<{ certificateUntil: string | null }> {
  const { status, deletedBy: operation } = await sites.byId(trx, id);
  if (operation === null) throw failure('Bug', `Site ${id} was not given up`);
  if (status === 'removed') {
    return { certificateUntil: (await obligations.find(trx, { operation, name: KEPT_CERTIFICATE }))?.due ?? null };
  }
  await obligations.close(trx, { operation, name: SITE_REMOVAL }, 'done');
  await sites.setStatus(trx, id, 'removed');
  await certificates.markLost(trx, id);
  // What lay beside it went with it: nobody undoes a restore any more, and no backup is kept for that.
  const undoable = trx.updateTable('restores').set({ state: 'ended', undoUntil: now() }).where('site', '=', id);
  await undoable.where('state', '=', 'restored').execute();
  if (!certificate) return { certificateUntil: null };
  const due = after(CERTIFICATE_DAYS * DAY_MS);
  await obligations.add(trx, { operation, name: KEPT_CERTIFICATE, targets: { site: id }, due });
  return { certificateUntil: due };
}

function after(ms: number): string {
  return new Date(Date.parse(now()) + ms).toISOString();
}
