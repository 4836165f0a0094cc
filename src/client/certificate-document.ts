import * as certificates from '../inventory/certificates.js';
import type { Certificate } from '../inventory/certificates.js';
import * as renewals from '../inventory/renewals.js';
import type { CertificateDocument } from './documents/certificate.js';
import type { Chom } from './open.js';
import { describeFailing, describeRenewal, renewalDocument } from './renewal-words.js';
import { table } from './text.js';

/** The tenant's certificates that are served, the soonest to expire first; `all`: also the others. */
export async function listCertificates(
  { tenant, inventory }: Chom,
  all: boolean,
): Promise<{ document: { certificates: object[] }; text: string }> {
  const every = await certificates.list(inventory.db, { tenant });
  const found = every.filter(({ state }) => all || state === 'installed');
  const owed = new Map((await renewals.list(inventory.db, { tenant })).map((one) => [one.certificate, one]));
  const rows = found.map((one) => [
    ...[one.domain, one.state, one.notAfter, describeRenewal(owed.get(one.id))],
    ...[describeFailing(owed.get(one.id)), one.issuer, one.names.join(' ')],
  ]);
  const columns = ['SITE', 'STATE', 'UNTIL', 'RENEWAL', 'LAST FAILURE', 'ISSUER', 'NAMES'];
  const text = found.length === 0 ? '' : table(columns, rows);
  const documents = found.map((one) => {
    const renewal = owed.get(one.id);
    return { site: one.domain, ...certificateDocument(one), renewal: renewal ? renewalDocument(renewal) : null };
  });
  return { document: { certificates: documents }, text };
}

/** A certificate as programs read it. */
export function certificateDocument(certificate: Certificate): CertificateDocument {
  const { id, names, serial, fingerprint, issuer, notBefore, notAfter, state } = certificate;
  return { id, names, serial, fingerprint, issuer, notBefore, notAfter, state };
}
