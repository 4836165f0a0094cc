import { connect } from 'node:tls';
import { failure } from '../workflows/failures.js';
import { type CertificateFacts, readCertificate } from './certificate-facts.js';

const HANDSHAKE_MILLISECONDS = 10_000;

/**
 * The certificate that a server really serves for a name: a TLS handshake with SNI, and nothing else. Whether it is
 * trusted is not asked, because the roots are the authority's affair; what it says is read from it.
 * @throws ProbeFailed nothing answers there, or it does not speak TLS
 */
export async function servedCertificate(target: {
  address: string;
  port?: number;
  name: string;
  server: string;
}): Promise<CertificateFacts> {
  const { address, port = 443, name, server } = target;
  const der = await new Promise<Buffer | string>((resolve) => {
    const socket = connect({ host: address, port, servername: name, rejectUnauthorized: false });
    const end = (result: Buffer | string) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => end('ETIMEDOUT'), HANDSHAKE_MILLISECONDS);
    socket.once('secureConnect', () => end(socket.getPeerX509Certificate()?.raw ?? 'no certificate'));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
  if (typeof der !== 'string') return readCertificate(der);
  throw failure('ProbeFailed', `${server} does not serve https://${name}/ on ${address}:${port} (${der})`, {
    server,
    cause: 'nginx does not listen on port 443, or a firewall is in front of it.',
    next: `ssh to ${server} and run: nginx -T | grep -n ${name}`,
  });
}
