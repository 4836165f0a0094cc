import type { Db } from '../inventory/database.js';
import * as obligations from '../inventory/obligations.js';
import type { Obligation } from '../inventory/obligations.js';
import * as operations from '../inventory/operations.js';
import * as remains from '../inventory/remains.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import * as tries from '../inventory/tries.js';
import { type DiscardPlan, discardPlan, KEPT_CERTIFICATE, SITE_REMOVAL } from '../workflows/deletion-plan.js';
import { CERTIFICATE, certificatePlan, repairPlan, UNDO, type UndoPlan } from '../workflows/plans.js';
import { UNDO_WINDOW, undoWindowPlan } from '../workflows/restore-plan.js';
import { OLD_KEY, retirementPlan } from '../workflows/rotation-plan.js';
import { OLD_PASSWORD, storageRotationPlan } from '../workflows/storage-rotation-plan.js';
import type { Chom } from './open.js';
import { isOn, refuseElsewhere } from './settle.js';
import { recordedSite } from './site-plan.js';
import { submit, type Request, type Submitter } from './submit.js';
import type { Failed } from './sweep.js';

/**
 * Asks for an operation for each obligation that is due and that no try is at work on, on the cluster and namespace of the
 * operation that owes it. However many do so at once, a try is asked for once. Returns the ids of the tries; what cannot be
 * tried is added to `failures`.
 */
export async function tryOwed(chom: Submitter, now = Date.now(), failures: Failed[] = []): Promise<string[]> {
  const { inventory, temporal } = chom;
  const at = new Date(now).toISOString();
  const tried: string[] = [];
  for (const owed of await obligations.due(inventory.db, at)) {
    try {
      if (!isOn(temporal, await operations.byId(inventory.db, owed.operation))) continue;
      const id = await tryOne(chom, owed, at);
      if (id !== null) tried.push(id);
    } catch (error) {
      failures.push({ what: `Try ${owed.name} of ${owed.operation}`, error });
    }
  }
  return tried;
}

/** Asks for the next try of what is due at `at` (ISO-8601 UTC). Null: one is at work on it, or nobody here knows how. */
async function tryOne(chom: Submitter, owed: Obligation, at: string): Promise<string | null> {
  const request = await requestOf(chom, owed);
  if (request === null) return null;
  const id = await chom.inventory.transaction(async (trx) => await tries.next(trx, owed, at));
  return id === null ? null : await submit(chom, request, id);
}

/**
 * Has what an operation left on its server taken back now, also where nobody tries that any more. Returns the id of the
 * operation that does, which may be at work already; null where the operation has not ended, or left nothing.
 * @throws NotFound; Conflict it was started on another Temporal; TemporalUnavailable
 */
export async function takeBackNow(chom: Chom, id: string): Promise<string | null> {
  const row = await operations.byId(chom.inventory.db, id, chom);
  if (row.outcome === null) return null;
  const key = { operation: id, name: UNDO };
  const at = new Date().toISOString();
  const owed = await chom.inventory.transaction(async (trx) => {
    await remains.hasten(trx, id, at);
    return await obligations.find(trx, key);
  });
  return owed?.state === 'open' ? await tryNow(chom, row, owed, at) : null;
}

/**
 * Has a deletion that took effect go on now, also where nobody tries that any more. Returns the id of the operation that
 * does, which may be at work already; null where nothing is owed. @throws as `takeBackNow`
 */
export async function clearNow(chom: Chom, deletion: string): Promise<string | null> {
  const row = await operations.byId(chom.inventory.db, deletion, chom);
  if (row.outcome === null) return deletion;
  const key = { operation: deletion, name: SITE_REMOVAL };
  const at = new Date().toISOString();
  const owed = await chom.inventory.transaction(async (trx) => {
    await obligations.reopen(trx, key);
    await obligations.hasten(trx, key, at);
    return await obligations.find(trx, key);
  });
  return owed?.state === 'open' ? await tryNow(chom, row, owed, at) : null;
}

async function tryNow(chom: Chom, row: operations.Operation, owed: Obligation, at: string): Promise<string> {
  const temporal = await chom.temporal();
  refuseElsewhere(row, temporal);
  const asked = await tryOne({ ...chom, temporal }, owed, at);
  if (asked !== null) return asked;
  // Somebody else was faster, who may have counted it and not asked yet: asking twice is asking once.
  const counted = (await obligations.find(chom.inventory.db, owed)) ?? owed;
  return (await tryOne({ ...chom, temporal }, counted, at)) ?? tries.tryId(owed, counted.tries);
}

/** What is asked for to meet an obligation; nobody waits for it. Null: a newer CHOM knows what it is. */
async function requestOf({ inventory }: Submitter, owed: Obligation): Promise<Request | null> {
  if (owed.name === UNDO) return await undoRequest(inventory.db, owed);
  if (owed.name === UNDO_WINDOW) return await windowRequest(inventory.db, owed);
  if (owed.name === OLD_KEY) return await oldKeyRequest(inventory.db, owed);
  if (owed.name === OLD_PASSWORD) return oldPasswordRequest(owed);
  if (owed.name === SITE_REMOVAL) return await clearingRequest(inventory.db, owed);
  if (owed.name === KEPT_CERTIFICATE) return await discardRequest(inventory.db, owed);
  if (owed.name !== CERTIFICATE) return null;
  const { id, tenant, domain, aliases, server } = await sites.byId(inventory.db, String(owed.targets['site']));
  const { name: serverName } = await servers.byId(inventory.db, server);
  // An alias that it has no more is nothing to ask for.
  const held = (name: unknown) => name === domain || aliases.some((alias) => alias === name);
  const names = Array.isArray(owed.targets['names']) ? owed.targets['names'].filter(held) : [];
  const input = certificatePlan.parse({ site: id, tenant, server, serverName, names });
  const what = { kind: 'issue-certificate', summary: `Issue a certificate for ${domain}`, priority: 'low' } as const;
  return { ...what, input, tenant, server, serverName, site: id, domain };
}

/** Its work is found by its id: by the operation that owes it, not by what that one's row says of it when it is due. */
async function undoRequest(db: Db, { operation }: Obligation): Promise<Request> {
  const { tenant, server, site } = await operations.byId(db, operation);
  const { name: serverName } = server === null ? { name: '' } : await servers.byId(db, server);
  const known = (await sites.list(db, { tenant })).find(({ id }) => id === site);
  return {
    kind: 'undo-operation',
    summary: `Take back what ${operation} left on ${serverName}`,
    priority: 'low',
    input: { tenant, server, site } satisfies UndoPlan,
    ...{ tenant, server, serverName },
    ...(site !== null && { site }),
    ...(known && { domain: known.domain }),
  };
}

/** What was there before a restore is removed from beside the site. */
async function windowRequest(db: Db, owed: Obligation): Promise<Request> {
  const { id: site, tenant, domain, server } = await sites.byId(db, String(owed.targets['site']));
  const { name: serverName } = await servers.byId(db, server);
  const input = undoWindowPlan.parse({ tenant, server, serverName, site });
  const summary = `Remove what was there before the restore of ${domain}`;
  return { kind: 'end-undo-window', summary, priority: 'low', input, tenant, server, serverName, site, domain };
}

/** The key that a rotation replaced is removed from its server. */
async function oldKeyRequest(db: Db, { operation }: Obligation): Promise<Request> {
  const { tenant, server } = await operations.byId(db, operation);
  const { id, name } = await servers.byId(db, server ?? '');
  const input = retirementPlan.parse({ server: id, tenant, name });
  const summary = `Remove the old key of ${name}`;
  const what = { kind: 'retire-credentials', summary, priority: 'low', exclusive: true } as const;
  return { ...what, input, tenant, server: id, serverName: name };
}

/** The password that a rotation replaced opens its repository no more. */
function oldPasswordRequest(owed: Obligation): Request {
  const input = storageRotationPlan.parse(owed.targets);
  const { tenant, server, serverName, site, domain } = input;
  const summary = `Remove the old password of the repository of ${domain}`;
  const where = { tenant, server, serverName, site, domain };
  return { kind: 'retire-storage-credentials', summary, priority: 'low', input, ...where };
}

/** Nothing of a site that was given up is left on its server. */
async function clearingRequest(db: Db, owed: Obligation): Promise<Request> {
  const site = await sites.byId(db, String(owed.targets['site']));
  const server = await servers.byId(db, site.server);
  const input = repairPlan.parse(recordedSite(site, server));
  const { tenant, domain } = site;
  const where = { tenant, server: server.id, serverName: server.name, site: site.id, domain };
  return { kind: 'clear-site', summary: `Take ${domain} away from ${server.name}`, priority: 'low', input, ...where };
}

/** The certificate and key that were kept of a deleted site go. */
async function discardRequest(db: Db, owed: Obligation): Promise<Request> {
  const { id: site, tenant, domain, server } = await sites.byId(db, String(owed.targets['site']));
  const { name: serverName } = await servers.byId(db, server);
  const input: DiscardPlan = discardPlan.parse({ tenant, server, serverName, site });
  const summary = `Remove the certificate that was kept of ${domain}`;
  return { kind: 'discard-certificate', summary, priority: 'low', input, tenant, server, serverName, site, domain };
}
