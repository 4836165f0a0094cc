import type { X509Certificate } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { text } from 'node:stream/consumers';
import type { TLSSocket } from 'node:tls';

/** What a site answered. */
export interface Visit {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: string;
  /** What it showed; null over HTTP. */
  certificate: X509Certificate | null;
}

export interface VisitOptions {
  /** The server's address: nobody is asked for the name. */
  address: string;
  /** PEM of the root that is trusted; without it the visit is over HTTP. */
  root?: string;
  path?: string;
}

/** Visits a site on one server. Rejects when nobody answers, or with a certificate that is not good for the name. */
export async function visit(domain: string, { address, root, path = '/' }: VisitOptions): Promise<Visit> {
  return await new Promise((resolve, reject) => {
    const options = { host: address, path, headers: { host: domain }, agent: false, timeout: 30_000 };
    const asked =
      root === undefined ? httpRequest(options) : httpsRequest({ ...options, servername: domain, ca: root });
    asked.on('response', (answer) => {
      const certificate = root === undefined ? null : ((answer.socket as TLSSocket).getPeerX509Certificate() ?? null);
      const { statusCode: status = 0, headers } = answer;
      text(answer).then((body) => resolve({ status, headers, body, certificate }), reject);
    });
    asked.on('error', reject).on('timeout', () => asked.destroy(new Error(`${address} did not answer for ${domain}`)));
    asked.end();
  });
}
