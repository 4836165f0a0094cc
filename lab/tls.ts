import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/** A server's certificate and the CA above it, PEM. */
export interface LabCertificate {
  ca: string;
  certificate: string;
  privateKey: string;
}

/** A certificate for a name and an address of the lab, and for loopback, from a CA that is made with it and forgotten. */
export async function makeCertificate(subject: string, address: string): Promise<LabCertificate> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const [caKeys, keys] = await Promise.all(
    [1, 2].map(() => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])),
  );
  if (!caKeys || !keys) throw new Error('no keys');
  const [notBefore, notAfter] = [new Date(Date.now() - 86_400_000), new Date(Date.now() + 365 * 86_400_000)];
  const dates = { notBefore, notAfter, signingAlgorithm: algorithm };
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    ...dates,
    serialNumber: '01',
    name: 'CN=CHOM lab',
    keys: caKeys,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  const names = [
    { type: 'dns', value: subject },
    { type: 'dns', value: 'localhost' },
    { type: 'ip', value: '127.0.0.1' },
    { type: 'ip', value: address },
  ] as const;
  const certificate = await x509.X509CertificateGenerator.create({
    ...dates,
    serialNumber: '02',
    subject: `CN=${subject}`,
    issuer: ca.subject,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    extensions: [new x509.SubjectAlternativeNameExtension([...names])],
  });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    ca: `${ca.toString('pem')}\n`,
    certificate: `${certificate.toString('pem')}\n`,
    privateKey: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
  };
}
