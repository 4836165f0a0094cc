import * as backups from '../inventory/backups.js';
import type { Backup, Snapshot } from '../inventory/backups.js';
import * as repositories from '../inventory/repositories.js';
import * as sites from '../inventory/sites.js';
import * as storages from '../inventory/storages.js';
import { backupId } from '../workflows/backup-plan.js';
import { failure } from '../workflows/failures.js';
import type { BackupDocument, SnapshotDocument } from './documents/backup.js';
import type { Told } from './follow.js';
import type { Chom } from './open.js';
import { age, facts, quoted, size, table } from './text.js';

/** @throws InvalidInput it cannot be a backup's id */
export function parseBackupId(text: string): string {
  if (backupId.safeParse(text).success) return text;
  throw failure('InvalidInput', `${quoted(text)} is no backup id`, { next: 'chom backup list DOMAIN' });
}

/** Backups of a site, the newest first; `all`: also those that failed or were deleted. @throws NotFound */
export async function listBackups(
  { tenant, inventory }: Chom,
  domain: string,
  all: boolean,
): Promise<{ document: { site: string; backups: BackupDocument[] }; text: string }> {
  const site = await sites.byDomain(inventory.db, domain, { tenant });
  const found = await backups.list(inventory.db, { tenant, site: site.id });
  const shown = found.filter(({ state }) => all || (state !== 'failed' && state !== 'deleted'));
  const rows = shown.map((one) => [
    ...[one.id, ago(one.startedAt), one.kind, sizeOrNone(one.bytes), sizeOrNone(one.newBytes)],
    ...[one.state, lastVerified(one), one.tag],
  ]);
  const heading = ['BACKUP', 'AGE', 'TYPE', 'SIZE', 'NEW', 'STATE', 'LAST VERIFIED', 'TAG'];
  const document = { site: site.domain, backups: shown.map(backupDocument) };
  return { document, text: shown.length === 0 ? '' : table(heading, rows) };
}

/** How every site stands. The number that matters: how old what is proven to restore is. */
export async function listBackedUp({
  tenant,
  inventory,
}: Chom): Promise<{ document: { sites: object[] }; text: string }> {
  const every = await backups.list(inventory.db, { tenant, states: ['partial', 'completed', 'verified'] });
  const all = (await sites.list(inventory.db, { tenant })).filter(({ status }) => status !== 'failed');
  const ofSite = new Map<string, Backup[]>(all.map(({ id }) => [id, []]));
  for (const one of every) ofSite.get(one.site)?.push(one);
  const standing = all.map((site) => {
    const its = ofSite.get(site.id) ?? [];
    const whole = its.find(({ state }) => state !== 'partial');
    const verified = its.find(({ state }) => state === 'verified');
    return { domain: site.domain, newest: whole ?? null, verified: verified ?? null, count: its.length };
  });
  const order = ({ verified }: (typeof standing)[number]) => verified?.startedAt ?? '';
  const sorted = standing.toSorted((a, b) => order(a).localeCompare(order(b)) || a.domain.localeCompare(b.domain));
  const rows = sorted.map(({ domain, newest, verified, count }) => [
    ...[domain, verified ? ago(verified.startedAt) : 'never'],
    ...[newest ? standingOf(newest) : 'never', String(count)],
  ]);
  const document = sorted.map(({ domain, newest, verified, count }) => ({
    ...{ site: domain, count },
    newestVerified: verified && backupDocument(verified),
    newest: newest && backupDocument(newest),
  }));
  const text = rows.length === 0 ? '' : table(['SITE', 'VERIFIED', 'NEWEST', 'BACKUPS'], rows);
  return { document: { sites: document }, text };
}

/** @throws NotFound */
export async function showBackup(chom: Chom, id: string): Promise<Told> {
  return await tellBackup(chom, await backups.byId(chom.inventory.db, id, chom));
}

/** A backup with its snapshots and where they lie. */
export async function tellBackup({ inventory: { db } }: Chom, backup: Backup): Promise<Told> {
  const { domain } = await sites.byId(db, backup.site);
  const repository = await repositories.byId(db, backup.repository);
  const storage = await storages.byId(db, repository.storage);
  const snapshots = await backups.snapshotsOf(db, backup.id);
  const { id, kind, state, tag, startedAt, finishedAt, verifiedAt, apartSeconds, manifestSha256, reason } = backup;
  const { verifyFailedAt, verifyFailure } = backup;
  const text = [
    facts([
      ...([
        ['backup', id],
        ['site', domain],
        ['type', kind],
        ['state', state],
        ['made for', tag],
        ['started', startedAt],
        ['finished', finishedAt],
        ['last verified', verifiedAt ?? 'never'],
        ['does not restore', verifyFailedAt && `${verifyFailedAt}: ${verifyFailure}`],
        ['size', sizeOrNone(backup.bytes)],
        ['new', sizeOrNone(backup.newBytes)],
        ['files', backup.files === null ? null : String(backup.files)],
        ['files follow the dump by', apartSeconds === null ? null : `${apartSeconds} s`],
        ['storage', `${storage.name} (${repository.url})`],
        ['manifest', manifestSha256 && `SHA-256 ${manifestSha256}`],
        ['why', reason],
      ] as const),
    ]),
    ...snapshots.map((one) => `${one.role.padEnd(8)}  ${one.id}  ${size(one.bytes)}`),
  ].join('\n');
  return {
    document: {
      backup: {
        ...backupDocument(backup),
        site: domain,
        storage: storage.name,
        snapshots: snapshots.map(snapshotDocument),
      },
    },
    text,
  };
}

function ago(at: string): string {
  return age(Date.now() - Date.parse(at));
}

function sizeOrNone(count: number | null): string {
  return count === null ? '' : size(count);
}

/** When it was last seen to restore, or not to. */
function lastVerified({ verifiedAt, verifyFailedAt }: Backup): string {
  if (verifyFailedAt !== null) return `failed ${ago(verifyFailedAt)} ago`;
  return verifiedAt === null ? 'never' : ago(verifiedAt);
}

function standingOf({ startedAt, verifyFailedAt }: Backup): string {
  return verifyFailedAt === null ? ago(startedAt) : `${ago(startedAt)} (does not restore)`;
}

/** A backup as programs read it; sizes in bytes. */
function backupDocument(backup: Backup): BackupDocument {
  const { id, operation, kind, tag, state, startedAt, finishedAt, verifiedAt, files, newBytes, reason } = backup;
  const { bytes, manifestSha256, apartSeconds, retentionDays, verifyFailedAt, verifyFailure } = backup;
  return {
    ...{ id, operation, kind, tag, state, startedAt, finishedAt, verifiedAt, bytes, newBytes, files },
    ...{ manifestSha256, apartSeconds, retentionDays, reason, verifyFailedAt, verifyFailure },
  };
}

function snapshotDocument({ id, role, bytes, newBytes, files }: Snapshot): SnapshotDocument {
  return { id, role, bytes, newBytes, files };
}
