import { X509Certificate } from 'node:crypto';

/** What a certificate itself says. */
export interface CertificateFacts {
  /** Its DNS names, lower case. */
  names: string[];
  /** Hexadecimal, as the certificate has it. */
  serial: string;
  /** SHA-256 of the DER form, lower-case hexadecimal. */
  fingerprint: string;
  /** One line; says so where the issuer has no name, which X.509 allows and a person's own authority may do. */
  issuer: string;
  /** ISO-8601. */
  notBefore: string;
  notAfter: string;
}

/** Reads a certificate: DER, or PEM whose first certificate counts. Throws what OpenSSL throws. */
export function readCertificate(certificate: Buffer | string): CertificateFacts {
  const leaf = new X509Certificate(certificate);
  // Node's types know nothing of it: undefined where the name is empty.
  const issuer = leaf.issuer as string | undefined;
  const names = (leaf.subjectAltName ?? '').split(', ').filter((entry) => entry.startsWith('DNS:'));
  return {
    names: names.map((entry) => entry.slice('DNS:'.length).toLowerCase()),
    serial: leaf.serialNumber,
    fingerprint: leaf.fingerprint256.replaceAll(':', '').toLowerCase(),
    issuer: issuer?.replaceAll('\n', ', ') ?? 'an issuer without a name',
    notBefore: new Date(leaf.validFrom).toISOString(),
    notAfter: new Date(leaf.validTo).toISOString(),
  };
}

/** Whether it is valid at `now` for all of `names`. */
export function covers(
  facts: Pick<CertificateFacts, 'names' | 'notBefore' | 'notAfter'>,
  names: readonly string[],
  now: number,
): boolean {
  const valid = Date.parse(facts.notBefore) <= now && now < Date.parse(facts.notAfter);
  return valid && names.every((name) => facts.names.includes(name));
}
