import type { Trx } from './database.js';
import * as events from './events.js';
import type { ExpiryStage } from './renewal-schedule.js';

/** A certificate in service, as it is told of. */
interface Endangered {
  certificate: string;
  site: string;
  tenant: string;
  server: string;
  domain: string;
  notAfter: string;
  reason: string | null;
}

const SAYS: Record<ExpiryStage | 'given-up', string> = {
  overdue: 'is due, and nobody has renewed it',
  fifth: 'has a fifth of its lifetime left, and is not renewed',
  twentieth: 'has a twentieth of its lifetime left, and is not renewed',
  expired: 'has ended, and is not renewed',
  'given-up': 'is given up: nobody tries to renew it any more',
};

/**
 * Tells once that a certificate comes near its end: an event and an alert, of no operation, for it may be that there is none. Done
 * again it changes nothing.
 */
export async function warnOf(trx: Trx, about: Endangered, stage: ExpiryStage | 'given-up'): Promise<void> {
  const { certificate, site, tenant, server, domain, notAfter, reason } = about;
  const of = { operation: `certificate/${certificate}/${stage}`, tenant, server, site };
  const why = reason === null ? '' : `: ${reason}`;
  const message = `The certificate of ${domain}, which ends ${notAfter}, ${SAYS[stage]}${why}`;
  const next = `chom certificate renew ${domain}`;
  await events.emit(trx, { ...of, type: 'CertificateExpiring', data: { certificate, stage, notAfter, reason, next } });
  const severity = stage === 'overdue' || stage === 'fifth' ? 'error' : 'critical';
  await events.emit(trx, {
    ...of,
    type: 'Alert',
    data: { severity, about: 'CertificateExpiring', reason: message, next },
  });
}
