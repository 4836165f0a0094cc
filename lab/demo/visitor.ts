import { request } from 'node:https';
import { text as readText } from 'node:stream/consumers';
import type { TLSSocket } from 'node:tls';
import type { Lab } from '../index.js';

/**
 * Fetches the page as a visitor would, trusting the lab's authority alone, and says what was seen.
 * @throws where another status is answered than the expected one
 */
export async function visit(lab: Lab, domain: string, expected = 200): Promise<string> {
  const ca = await lab.acme?.rootCertificate();
  const { address } = lab.host('web1');
  const [status, body, issuer] = await new Promise<[number, string, string]>((resolve, reject) => {
    const asked = request({ host: address, servername: domain, headers: { host: domain }, ca, timeout: 10_000 });
    asked.once('response', (response) => {
      const certificate = (response.socket as TLSSocket).getPeerCertificate();
      readText(response).then(
        (page) => resolve([response.statusCode ?? 0, page, String(certificate.issuer.CN)]),
        reject,
      );
    });
    asked.once('timeout', () => asked.destroy(new Error(`${domain} does not answer`)));
    asked.once('error', reject);
    asked.end();
  });
  const title = body
    .replaceAll(/<(style|script)\b[\s\S]*?<\/\1>|<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
  if (status !== expected) throw new Error(`https://${domain}/ answers ${status}: ${title.slice(0, 200)}`);
  return `${status} "${title.slice(0, 40)}", certificate by ${issuer}`;
}
