import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import type { LabAcme } from '../../lab/acme.js';
import { makeCertificate } from '../../lab/tls.js';

/** An answer in the authority's place. */
interface Answer {
  status: number;
  type: string;
  headers?: Record<string, string>;
}

/** Pebble's own path of new orders (its wfe/wfe.go, 2.10.1). */
export const NEW_ORDER = '/order-plz';

/** The lab's authority with something in front of it that answers in its place when told to, as the edge of a busy one does. */
export async function startAcmeProxy(acme: LabAcme) {
  const directory = await mkdtemp(join(tmpdir(), 'chom-acme-proxy-'));
  const { ca, certificate, privateKey } = await makeCertificate('proxy.lab.test', '127.0.0.1');
  const caFile = join(directory, 'ca.pem');
  await writeFile(caFile, ca);
  const behind = new URL(acme.directoryUrl);
  const trusted = await readFile(acme.caFile, 'utf8');
  const queued: { path: string; answer: Answer }[] = [];
  const posts: string[] = [];

  async function handle(asked: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url: path = '/', headers } = asked;
    const body = await buffer(asked);
    const at = queued.findIndex((one) => method === 'POST' && path.startsWith(one.path));
    const [instead] = at < 0 ? [] : queued.splice(at, 1);
    if (instead) {
      posts.push(path);
      const { status, type, headers: more } = instead.answer;
      response.writeHead(status, { 'content-type': 'application/problem+json', ...more });
      response.end(JSON.stringify({ type: `urn:ietf:params:acme:error:${type}`, detail: 'said in its place', status }));
      return;
    }
    // It names its own addresses by the host that it is asked for.
    const to = { hostname: behind.hostname, port: behind.port, path, method, headers, ca: trusted, servername: '' };
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const passed = request(to, resolve);
      passed.on('error', reject);
      passed.end(body);
    });
    const said = await buffer(answer);
    // The lab's authority refuses a fifth of all nonces, and whoever asks does so again: that is no second request.
    if (method === 'POST' && !said.includes('urn:ietf:params:acme:error:badNonce')) posts.push(path);
    response.writeHead(answer.statusCode ?? 502, answer.headers).end(said);
  }

  const server = createServer({ cert: certificate, key: privateKey }, (asked, response) => {
    handle(asked, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    directoryUrl: `https://127.0.0.1:${port}${behind.pathname}`,
    caFile,
    /** Answers once in its place, the next time that something is posted to the path. */
    next: (path: string, answer: Answer) => void queued.push({ path, answer }),
    /** How often something was posted there, but for what was refused for its nonce. */
    count: (path: string) => posts.filter((one) => one.startsWith(path)).length,
    async close(): Promise<void> {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true, force: true });
    },
  };
}
