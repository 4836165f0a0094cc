import type { Selectable } from 'kysely';
import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { CertificatesTable } from './schema.js';

export interface Certificate extends Omit<Selectable<CertificatesTable>, 'names'> {
  names: string[];
}

/** As the authority gave it; times are ISO-8601 UTC, read from the certificate. */
export interface NewCertificate {
  id: string;
  site: string;
  names: string[];
  serial: string;
  /** SHA-256 of the DER form, hexadecimal. */
  fingerprint: string;
  issuer: string;
  notBefore: string;
  notAfter: string;
  /** PEM, the leaf first. It holds no secret. */
  chain: string;
  /** Directory URL of the authority; null where that is not known. */
  authority?: string | null;
}

/** Records a certificate that was issued. The same certificate of a site again returns the row there is. */
export async function record(trx: Trx, certificate: NewCertificate): Promise<Certificate> {
  await trx
    .insertInto('certificates')
    .values({
      ...certificate,
      authority: certificate.authority ?? null,
      names: JSON.stringify(certificate.names),
      state: 'issued',
      createdAt: now(),
    })
    .onConflict((conflict) => conflict.columns(['site', 'fingerprint']).doNothing())
    .execute();
  const row = await trx
    .selectFrom('certificates')
    .selectAll()
    .where('site', '=', certificate.site)
    .where('fingerprint', '=', certificate.fingerprint)
    .executeTakeFirstOrThrow();
  return fromRow(row);
}

/** It is the one that the site's server serves now; the one before becomes `replaced`. @throws NotFound */
export async function markInstalled(trx: Trx, id: string): Promise<void> {
  const certificate = await byId(trx, id);
  await trx
    .updateTable('certificates')
    .set({ state: 'replaced' })
    .where('site', '=', certificate.site)
    .where('state', '=', 'installed')
    .where('id', '<>', id)
    .execute();
  await trx.updateTable('certificates').set({ state: 'installed' }).where('id', '=', id).execute();
}

/** It is not on the site's server any more. None that is installed is no error. */
export async function markLost(trx: Trx, site: string): Promise<void> {
  await trx
    .updateTable('certificates')
    .set({ state: 'issued' })
    .where('site', '=', site)
    .where('state', '=', 'installed')
    .execute();
}

/** @throws NotFound */
export async function byId(db: Db, id: string): Promise<Certificate> {
  const row = await db.selectFrom('certificates').selectAll().where('id', '=', id).executeTakeFirst();
  if (!row) throw failure('NotFound', `There is no certificate ${id}`, { next: 'chom certificate list' });
  return fromRow(row);
}

/** The one that is installed for a site; null when there is none. */
export async function installed(db: Db, site: string): Promise<Certificate | null> {
  const row = await db
    .selectFrom('certificates')
    .selectAll()
    .where('site', '=', site)
    .where('state', '=', 'installed')
    .executeTakeFirst();
  return row ? fromRow(row) : null;
}

/** Soonest to expire first; all states. */
export async function list(db: Db, filter: { tenant?: string; server?: string; site?: string } = {}) {
  let query = db
    .selectFrom('certificates')
    .innerJoin('sites', 'sites.id', 'certificates.site')
    .selectAll('certificates')
    .select(['sites.domain', 'sites.server']);
  if (filter.tenant !== undefined) query = query.where('sites.tenant', '=', filter.tenant);
  if (filter.server !== undefined) query = query.where('sites.server', '=', filter.server);
  if (filter.site !== undefined) query = query.where('certificates.site', '=', filter.site);
  const rows = await query.orderBy('certificates.notAfter').orderBy('certificates.id').execute();
  return rows.map((row) => ({ ...row, ...fromRow(row) }));
}

function fromRow(row: Selectable<CertificatesTable>): Certificate {
  return { ...row, names: JSON.parse(row.names) as string[] };
}
