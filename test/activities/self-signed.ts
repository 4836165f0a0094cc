import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/** A key and a self-signed certificate for names, valid for so many days from now. PEM. */
export async function selfSigned(
  names: readonly string[],
  days: number,
  name = 'O=Test CA',
): Promise<{ key: string; cert: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const notBefore = new Date(Math.floor(Date.now() / 1000) * 1000);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    keys,
    name,
    notBefore,
    notAfter: new Date(notBefore.getTime() + days * 86_400_000),
    signingAlgorithm: algorithm,
    extensions: [
      new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value }))),
      // Its issuer is itself.
      await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'), cert: certificate.toString('pem') };
}
