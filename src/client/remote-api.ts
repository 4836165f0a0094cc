import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { failure, isFailureType, type FailureType } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';
import type { Call } from './remote-verbs.js';
import { UPLOAD_MS } from './source.js';
import { quoted } from './text.js';

/** Where the API is, and by which token we are known there. */
export interface RemoteApi {
  url: string;
  token: string;
}

const ANSWER_MS = 60_000;
/** Pauses before it is tried again, in milliseconds, where no answer came: what asks for an operation has a key. */
const AGAIN_MS = [500, 2000];

/**
 * The address that `--api` or CHOM_API names, with the token of CHOM_TOKEN.
 * @throws InvalidInput there is no token, or it would travel in the clear
 */
export function remoteApi(address: string, environment: Readonly<Record<string, string | undefined>>): RemoteApi {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url === null || !['https:', 'http:'].includes(url.protocol)) {
    throw failure('InvalidInput', `${quoted(address)} is no address of an API`, { next: '--api https://HOST:PORT' });
  }
  if (url.protocol === 'http:' && !/^(localhost|127\.0\.0\.1|\[::1\])$/.test(url.hostname)) {
    throw failure('InvalidInput', 'Over http:// the token would travel in the clear', {
      next: `--api https://${url.host}`,
    });
  }
  const token = environment['CHOM_TOKEN'] ?? '';
  if (token === '') {
    throw failure('InvalidInput', 'There is no token for the API', {
      cause: 'CHOM_TOKEN is not set',
      next: 'set CHOM_TOKEN to one that the administrator makes by: chom token create NAME',
    });
  }
  return { url: url.href.replace(/\/$/, ''), token };
}

/** Asks, and again where no answer came: a POST has a key, so that it is done once. @throws as the verb itself; Unreachable */
export async function callApi(api: RemoteApi, call: Call): Promise<Record<string, unknown>> {
  const headers = call.method === 'GET' ? {} : { 'Idempotency-Key': randomUUID() };
  for (const pause of [...AGAIN_MS, null]) {
    try {
      const response = await send(api, call, { headers, signal: AbortSignal.timeout(ANSWER_MS) });
      const document = (await response.json()) as Record<string, unknown>;
      if (response.ok) return document;
      throw problemIn(document, response.status);
    } catch (error) {
      if (isFailureType(Reflect.get(Object(error), 'type'))) throw error;
      if (pause === null) throw unreachable(api, error);
      await sleep(pause);
    }
  }
  throw unreachable(api, null);
}

/** Sends an archive for a site to come, as it is made; once, since it may not be there to be read again. Returns its id. */
export async function uploadTo(api: RemoteApi, content: AsyncIterable<Uint8Array>): Promise<string> {
  let own: unknown = null;
  const response = await fetch(new URL(`${api.url}/v1/uploads`), {
    method: 'POST',
    signal: AbortSignal.timeout(UPLOAD_MS),
    redirect: 'error',
    headers: { Authorization: `Bearer ${api.token}`, 'Content-Type': 'application/octet-stream' },
    body: ReadableStream.from(noting(content, (error) => (own = error))),
    duplex: 'half',
  }).catch((error: unknown) => {
    // What cannot be read here is no fault of the API.
    throw own ?? unreachable(api, error);
  });
  const document = (await response.json()) as Record<string, unknown>;
  if (!response.ok) throw problemIn(document, response.status);
  return String(document['upload']);
}

async function* noting(content: AsyncIterable<Uint8Array>, note: (error: unknown) => void): AsyncIterable<Uint8Array> {
  try {
    yield* content;
  } catch (error) {
    note(error);
    throw error;
  }
}

/** The response as it comes, whatever its status. Rejects where there is none. */
export async function send(
  { url, token }: RemoteApi,
  { method, path, query = {}, body }: Call,
  { headers = {}, signal }: { headers?: Record<string, string>; signal: AbortSignal },
): Promise<Response> {
  const target = new URL(url + path);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) target.searchParams.set(name, String(value as string | number | boolean));
  }
  const given = body && Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
  return await fetch(target, {
    method,
    signal,
    redirect: 'error',
    headers: { Authorization: `Bearer ${token}`, ...(given && { 'Content-Type': 'application/json' }), ...headers },
    ...(given && { body: JSON.stringify(given) }),
  });
}

/** Types of problems that no failure of ours has the name of. */
const AS: Readonly<Record<string, FailureType>> = {
  Unauthorized: 'Forbidden',
  Unavailable: 'TemporalUnavailable',
  ContentTooLarge: 'InvalidInput',
  KeyReused: 'Conflict',
};

/** What the API refused, as the same failure that the command has where it works itself. */
export function problemIn(document: Record<string, unknown>, status: number) {
  const { type, detail, cause, next, operation } = document;
  const name = typeof type === 'string' ? type.replace(/^urn:chom:problem:/, '') : '';
  const known = AS[name] ?? (isFailureType(name) ? name : 'Unexpected');
  return failure(known, typeof detail === 'string' ? detail : `The API answered with HTTP ${status}`, {
    ...(typeof cause === 'string' && { cause }),
    ...(typeof next === 'string' && { next }),
    ...(typeof operation === 'string' && { holder: operation }),
  });
}

export function unreachable({ url }: RemoteApi, error: unknown) {
  const { cause } = Object(error) as { cause?: unknown };
  return failure('Unreachable', `The API does not answer at ${url}`, {
    cause: messageOf(cause ?? error),
    next: 'if its certificate is not a public one, set NODE_EXTRA_CA_CERTS to the PEM file of its CA',
  });
}
