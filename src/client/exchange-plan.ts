import * as servers from '../inventory/servers.js';
import type { Site } from '../inventory/sites.js';
import * as storages from '../inventory/storages.js';
import { type BackupKind, backupPlan } from '../workflows/backup-plan.js';
import type { ExchangePlan } from '../workflows/restore-plan.js';
import type { OperationKind } from '../workflows/step.js';
import { askFor } from './ask-for.js';
import type { Chom } from './open.js';
import { randomId } from './submit.js';

/** What of a site is to be exchanged. */
export interface Exchanged {
  files: boolean;
  /** The content of the database. */
  dump: boolean;
  path: string | null;
  /** Id of the storage to which the backup of what is there goes; null: none is made. */
  safetyInto: string | null;
}

/** A site, and the backup that is made of it before it is exchanged. */
export async function exchangePlan(
  { tenant, inventory: { db } }: Chom,
  { id: site, server: on, domain, aliases, type, php, tls, databaseName }: Site,
  { safetyInto, ...what }: Exchanged,
): Promise<Omit<ExchangePlan, 'php'> & { php: string | null }> {
  const { id: server, name: serverName } = await servers.byId(db, on);
  const place = { site, tenant, server, serverName, domain, type, php, database: databaseName !== null };
  const plan = { ...place, aliases, tls, ...what };
  if (safetyInto === null) return { ...plan, safety: null };
  const { name: storageName } = await storages.byId(db, safetyInto);
  const made = {
    backup: `b${randomId(9)}`,
    kind: kindOf(what, place.database),
    tag: 'pre-restore',
    retentionDays: null,
  };
  return { ...plan, safety: backupPlan.parse({ ...place, ...made, storage: safetyInto, storageName }) };
}

/** What is exchanged is backed up. */
function kindOf({ files, dump }: Pick<Exchanged, 'files' | 'dump'>, database: boolean): BackupKind {
  if (!files) return 'database';
  return dump || !database ? 'full' : 'files';
}

/** Asks for an operation that exchanges what a site is. */
export async function askForExchange(
  chom: Chom,
  { kind, plan, summary, wait }: { kind: OperationKind; plan: ExchangePlan; summary: string; wait: boolean },
): Promise<string> {
  const { tenant, server, serverName, site, domain } = plan;
  return await askFor(chom, { kind, input: plan, summary, tenant, server, serverName, site, domain, wait });
}
