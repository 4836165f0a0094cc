import { Agent } from 'node:https';
import { type AxiosInstance, type AxiosRequestConfig, type AxiosResponse, create } from 'axios';
import { readRetryAfter } from '../retry-after.js';
import { AcmeProblem, AcmeSilence, readProblem } from './acme-problem.js';

export type Reply = Pick<AxiosResponse<unknown>, 'status' | 'headers' | 'data'>;
/** The HTTP layer that acme-client is given. */
export type Send = (url: string, method: string, options?: { data?: unknown }) => Promise<Reply>;

// Directory, nonce and request together must fit into the shortest bound of a step, one minute.
const REQUEST_MILLISECONDS = 15_000;
const DIRECTORY_MILLISECONDS = 3_600_000;
// Idle connections are closed by us, before the authority does it under a request that must not be sent twice.
const IDLE_MILLISECONDS = 4_000;
const NONCES_KEPT = 8;
const USER_AGENT = 'chom (acme-client)';

/**
 * Sends a request once, with no retry and no wait of its own. Keeps the directory for an hour and each reply's nonce for
 * the next request. `ca`: PEM roots that the authority's own TLS certificate is checked against. Fails with AcmeProblem
 * for every answer of 300 and above but a bad nonce, and with AcmeSilence where none came.
 */
export function transport(directory: string, ca: Buffer | undefined): Send {
  const http = create({ httpsAgent: new Agent({ keepAlive: true, timeout: IDLE_MILLISECONDS, ...(ca && { ca }) }) });
  const nonces: string[] = [];
  let known: { reply: Reply; until: number } | undefined;

  return async (url, method, { data } = {}) => {
    const nonce = method === 'head' ? nonces.shift() : undefined;
    if (nonce !== undefined) return { status: 200, headers: { 'replay-nonce': nonce }, data: '' };
    if (url === directory && known && known.until > Date.now()) return known.reply;

    const reply = await exchange(http, {
      url,
      method,
      headers: { 'Content-Type': 'application/jose+json', 'User-Agent': USER_AGENT },
      data,
    });
    const fresh: unknown = reply.headers['replay-nonce'];
    const problem = reply.status >= 400 ? readProblem(reply.data) : undefined;
    // The library signs again with the nonce of this very reply, up to five times.
    if (problem?.type === 'badNonce' && reply.status === 400) return reply;
    if (method !== 'head' && typeof fresh === 'string' && nonces.length < NONCES_KEPT) nonces.push(fresh);
    if (reply.status >= 300) {
      const wait = readRetryAfter(reply.headers['retry-after'], reply.headers['date']);
      throw new AcmeProblem(problem ?? readProblem(undefined), reply.status, wait);
    }
    if (url === directory) {
      if (typeof reply.data !== 'object' || reply.data === null) throw new Error(`no ACME directory at ${url}`);
      known = { reply, until: Date.now() + DIRECTORY_MILLISECONDS };
    }
    return reply;
  };
}

async function exchange(http: AxiosInstance, request: AxiosRequestConfig): Promise<Reply> {
  let reply: AxiosResponse<string>;
  try {
    reply = await http.request<string>({
      ...request,
      signal: AbortSignal.timeout(REQUEST_MILLISECONDS),
      maxRedirects: 0,
      maxContentLength: 1_048_576,
      responseType: 'text',
      transformResponse: (body: unknown) => body,
      validateStatus: () => true,
    });
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === 'ERR_CANCELED') throw new AcmeSilence(`nothing for ${REQUEST_MILLISECONDS / 1000} s`);
    throw new AcmeSilence(typeof code === 'string' ? code : 'no connection');
  }
  const type = String(reply.headers['content-type'] ?? '');
  return { status: reply.status, headers: reply.headers, data: type.includes('json') ? parse(reply.data) : reply.data };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
