import * as backups from '../inventory/backups.js';
import * as operations from '../inventory/operations.js';
import type { Operation } from '../inventory/operations.js';
import { renewalId, renewedBy } from '../inventory/renewal-tries.js';
import * as sites from '../inventory/sites.js';
import * as storages from '../inventory/storages.js';
import { aliasesPlan, changesOf } from '../workflows/aliases-plan.js';
import { type BackupPlan, backupPlan } from '../workflows/backup-plan.js';
import { failure } from '../workflows/failures.js';
import { optimisationPlan } from '../workflows/optimisation-plan.js';
import { type SitePlan, sitePlan, storagePlan } from '../workflows/plans.js';
import { restorePlan } from '../workflows/restore-plan.js';
import { rotationPlan } from '../workflows/rotation-plan.js';
import { storageRotationPlan } from '../workflows/storage-rotation-plan.js';
import type { OperationKind } from '../workflows/step.js';
import { suspensionPlan } from '../workflows/suspension-plan.js';
import { verificationPlan } from '../workflows/verification-plan.js';
import { accountPlan } from '../workflows/account-plan.js';
import { controlPlanePlan } from '../workflows/control-plane-plan.js';
import { backUpChom } from './back-up-chom.js';
import { checkStorage } from './check-storage.js';
import { issueCertificate } from './new-certificate.js';
import { changeAliases } from './change-aliases.js';
import { createBackup } from './new-backup.js';
import { restoreBackup } from './new-restore.js';
import { createSite, type NewSite } from './new-site.js';
import type { Chom } from './open.js';
import { optimiseDatabase } from './optimise-database.js';
import { renewCertificate } from './renew-certificate.js';
import { repairSite } from './repair-site.js';
import { rollAccount } from './roll-account.js';
import { rotateStorage } from './rotate-storage.js';
import { rotateCredentials } from './rotate-credentials.js';
import { hashedOperationId } from './submit.js';
import { resumeSite, suspendSite } from './suspend-site.js';
import { verifyBackup } from './verify-backup.js';

/** Asks for the same again under another id. */
type Again = (chom: Chom, input: unknown, id: string, row: Operation) => Promise<unknown>;

/** What can be asked for again from what is on record. All checks are made anew, as things are by now. */
const AGAIN: Partial<Record<OperationKind, Again>> = {
  'create-backup': async (chom, input, operation) => {
    const plan = backupPlan.parse(input);
    return await createBackup(chom, { ...wantedOf(plan), operation });
  },
  'restore-backup': async (chom, input, operation) => {
    const { backup, files, dump, path, site, from, domain, safety, partial, undoHours } = restorePlan.parse(input);
    const part = files && dump ? null : files ? ('files' as const) : ('database' as const);
    const holds = await backups.snapshotsOf(chom.inventory.db, backup);
    // Of a backup of files alone all of it is restored, and nothing else would be.
    const all = part === null || holds.every(({ role }) => role === 'manifest' || role === part);
    return await restoreBackup(chom, {
      ...{ backup, partial, undoHours, operation, safetyBackup: safety !== null },
      ...(path === null ? !all && part !== null && { only: part } : { path }),
      ...(site !== from && { to: domain }),
    });
  },
  'verify-backup': async (chom, input, operation) =>
    await verifyBackup(chom, { backup: verificationPlan.parse(input).backup }, { operation }),
  'issue-certificate': async (chom, input, operation, { id, site }) => {
    if (renewedBy(id) !== null && site !== null) return await renewAgain(chom, site, operation);
    return await issueCertificate(chom, (input as { names: string[] }).names[0] ?? '', { operation });
  },
  'suspend-site': async (chom, input, operation) => {
    const { domain, reason } = suspensionPlan.parse(input);
    return await suspendSite(chom, { domain, reason, operation });
  },
  'resume-site': async (chom, input, operation) =>
    await resumeSite(chom, (input as { domain: string }).domain, { operation }),
  'change-aliases': async (chom, input, operation) => {
    const plan = aliasesPlan.parse(input);
    const { added: add, removed: remove } = changesOf(plan);
    return await changeAliases(chom, { domain: plan.domain, add, remove, operation });
  },
  'repair-site': async (chom, input, operation) =>
    await repairSite(chom, (input as { domain: string }).domain, { operation }),
  'check-storage': async (chom, input, operation) => {
    const { storage } = storagePlan.parse(input);
    const { name } = await storages.byId(chom.inventory.db, storage, chom);
    return await checkStorage(chom, name, { operation });
  },
  'optimise-database': async (chom, input, operation) =>
    await optimiseDatabase(chom, optimisationPlan.parse(input).domain, { operation }),
  'rotate-credentials': async (chom, input, operation) => {
    const { name, emergency, overlapHours } = rotationPlan.parse(input);
    return await rotateCredentials(chom, { server: name, emergency, operation, ...(!emergency && { overlapHours }) });
  },
  'back-up-control-plane': async (chom, input, operation) => {
    const { storage } = controlPlanePlan.parse(input);
    const name = storage === null ? null : (await storages.byId(chom.inventory.db, storage, chom)).name;
    return await backUpChom(chom, { operation, ...(name !== null && { storage: name }) });
  },
  'rotate-storage-credentials': async (chom, input, operation) => {
    const { storageName, domain } = storageRotationPlan.parse(input);
    return await rotateStorage(chom, { storage: storageName, site: domain, operation });
  },
  'roll-acme-account': async (chom, input, operation) =>
    await rollAccount(chom, { fallback: accountPlan.parse(input).fallback, operation }),
  'provision-site': async (chom, input, operation, { id }) =>
    await createSite(chom, { ...siteOf(sitePlan.parse(input), id), operation }),
};

/** Commands that ask for the rest: they want a key, a confirmation, or a look at what would be done. */
const COMMANDS: Partial<Record<OperationKind, string>> = {
  'enrol-server': 'chom server add NAME --host ADDRESS --key FILE',
  'remove-server': 'chom server remove NAME',
  'adopt-server': 'chom server adopt NAME',
  'check-server': 'chom server check NAME',
  'reboot-server': 'chom server reboot NAME',
  'clean-backups': 'chom backup clean DOMAIN',
  'purge-backups': 'chom backup purge --site ID --confirm ID',
  'undo-restore': 'chom backup undo-restore OPERATION',
  'delete-site': 'chom site delete DOMAIN',
};

/**
 * The id of the operation that retries another: always the same, so that it is asked for once, whoever asks. Of a renewal it
 * is the next try, which the schedule would have made.
 */
export function retryId({ id, kind }: Pick<Operation, 'id' | 'kind'>): string {
  const renewal = renewedBy(id);
  if (renewal !== null) return renewalId(renewal.site, renewal.n + 1);
  return hashedOperationId(kind, `retry ${id}`);
}

/** Whether `op retry` can ask for it. */
export function canRetry({ kind, outcome, failureType, parent }: Operation): boolean {
  return outcome === 'failed' && failureType !== 'Deferred' && parent === null && AGAIN[kind] !== undefined;
}

/**
 * Asks for what a failed operation was to do, as a new one. Asked for twice it is done once: the same id is returned.
 * @throws NotFound; Conflict it did not fail, or was retried and that failed as well; InvalidInput what it needs is not on
 *   record any more; and as the verb that asked for it
 */
export async function retryOperation(chom: Chom, id: string): Promise<string> {
  const { inventory, keyring } = chom;
  const row = await operations.byId(inventory.db, id, chom);
  refuseUnfailed(row);
  const again = AGAIN[row.kind];
  if (!again) {
    throw failure('InvalidInput', `${id} cannot be asked for again from what is on record`, {
      cause: COMMANDS[row.kind] === undefined ? 'CHOM tries it again by itself' : 'it needs you once more',
      next: COMMANDS[row.kind] ?? `chom op show ${id}`,
    });
  }
  const retry = retryId(row);
  const known = await operations.find(inventory.db, retry);
  if (known?.outcome === 'failed') {
    throw failure('Conflict', `${id} was retried as ${retry}, which failed as well`, {
      next: `chom op retry ${retry}`,
    });
  }
  if (!known) await again(chom, operations.openInput(row, keyring), retry, row);
  return retry;
}

function refuseUnfailed({ id, outcome, failureType, parent }: Operation): void {
  if (parent !== null) {
    throw failure('Conflict', `${id} is a part of ${parent}`, { next: `chom op retry ${parent}` });
  }
  if (failureType === 'Deferred') {
    throw failure('Conflict', `${id} is tried again by itself`, { next: `chom op show ${id}` });
  }
  if (outcome === 'failed') return;
  throw failure('Conflict', outcome === null ? `${id} has not ended` : `${id} did not fail: it is ${outcome}`, {
    next: `chom op show ${id}`,
  });
}

/** @throws Conflict another try than this one was asked for meanwhile */
async function renewAgain(chom: Chom, site: string, wanted: string): Promise<void> {
  const { domain } = await sites.byId(chom.inventory.db, site);
  const { operation } = await renewCertificate(chom, domain);
  if (operation === wanted) return;
  throw failure('Conflict', `The certificate of ${domain} is renewed by another try already: ${operation}`, {
    next: `chom op watch ${operation}`,
  });
}

function wantedOf({ domain, kind, storageName, tag, retentionDays, maintenance }: BackupPlan) {
  return {
    ...{ domain, kind, tag, storage: storageName, maintenance: maintenance !== undefined },
    ...(retentionDays !== null && { retentionDays }),
  };
}

/** @throws InvalidInput its files were uploaded, or read with a key: neither is kept */
function siteOf(plan: SitePlan, id: string): NewSite {
  const { domain, aliases, type, php, tls, source, database, wordpress, serverName: server } = plan;
  const ssh = source.kind === 'git' && !source.url.startsWith('https:');
  if (source.kind === 'upload' || ssh) {
    throw failure('InvalidInput', `The files of ${domain} are not kept beyond ${id}`, {
      cause: ssh ? 'the key that read the repository was kept for that operation alone' : 'they were uploaded for it',
      next: `chom site create ${domain} --server ${server} --type ${type} --from ${ssh ? source.url : 'DIRECTORY'}`,
    });
  }
  const from = source.kind === 'git' ? `${source.url}${source.ref === null ? '' : `#${source.ref}`}` : undefined;
  return {
    ...{ domain, server, aliases, type, tls },
    ...(php !== null && { php }),
    ...(type === 'php' && database !== undefined && { database }),
    ...(from !== undefined && { from }),
    ...(wordpress && { title: wordpress.title, adminUser: wordpress.adminUser, adminEmail: wordpress.adminEmail }),
  };
}
