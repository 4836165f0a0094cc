import { createPublicKey, verify } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { selfSigned } from './self-signed.js';

type Endpoint =
  | 'renewalInfo'
  | 'directory'
  | 'nonce'
  | 'account'
  | 'keyChange'
  | 'newOrder'
  | 'order'
  | 'authz'
  | 'challenge'
  | 'finalize'
  | 'cert';

interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
}

/** What is done in the place of the next answer: another answer, or none after the request was acted on. */
type Misbehaviour = Answer | 'lost';

interface Received {
  endpoint: Endpoint;
  method: string;
  nonce: string | null;
  payload: unknown;
  userAgent: string;
}

/** An ACME problem as an answer. */
export function problem(status: number, type: string, detail: string, headers: Record<string, string> = {}): Answer {
  return { status, headers, body: { type: `urn:ietf:params:acme:error:${type}`, detail, status } };
}

/**
 * A certificate authority that misbehaves to order, as no Pebble does: rate limits, lost replies, errors of the edge,
 * orders that hang. It checks nonces and, once the account's key was changed, by whom a request was signed; all else is Pebble's to check.
 */
export async function fakeAuthority() {
  const received: Received[] = [];
  const queued = new Map<Endpoint, Misbehaviour[]>();
  const nonces = new Set<string>();
  const orders: { names: string[]; status: string; error?: unknown }[] = [];
  let count = 0;
  let base = '';
  const accountKeys = new Set<string>();
  const state = {
    authorization: 'pending',
    challenge: 'pending',
    challengeError: undefined as unknown,
    orderHeaders: {} as Record<string, string>,
    certificate: 'PEM',
    accountKnown: true,
    /** JSON of the key that the account has; null: there is none yet. */
    holder: null as string | null,
    /** Since the key was changed, what was signed with another one is refused. */
    changed: false,
    /** What it says of when to renew (RFC 9773); null: it offers no such thing. */
    advice: null as { body: unknown; headers?: Record<string, string> } | null,
    /** What comes of an accepted challenge; `manual` leaves it to the test. */
    validation: 'manual' as 'manual' | 'valid' | 'invalid',
  };

  const nonce = () => {
    const fresh = `nonce-${(count += 1)}`;
    nonces.add(fresh);
    return fresh;
  };

  function order(index: number): unknown {
    const known = orders[index];
    if (!known) return undefined;
    return {
      status: known.status,
      identifiers: known.names.map((value) => ({ type: 'dns', value })),
      authorizations: known.names.map((name) => `${base}/authz/${index}/${name}`),
      finalize: `${base}/finalize/${index}`,
      ...(known.status === 'valid' && { certificate: `${base}/cert/${index}` }),
      ...(known.error !== undefined && { error: known.error }),
    };
  }

  function act(endpoint: Endpoint, path: string[], payload: unknown, key: string | null): Answer {
    const index = Number(path[1]);
    if (endpoint === 'directory') {
      const urls = {
        ...{ newNonce: 'nonce', newAccount: 'account', newOrder: 'newOrder', keyChange: 'keyChange' },
        ...(state.advice && { renewalInfo: 'renewalInfo' }),
      };
      return {
        status: 200,
        body: Object.fromEntries(Object.entries(urls).map(([name, at]) => [name, `${base}/${at}`])),
      };
    }
    if (endpoint === 'nonce') return { status: 200 };
    if (endpoint === 'renewalInfo') return { status: 200, ...state.advice };
    if (endpoint === 'account') {
      const { onlyReturnExisting = false } = (payload ?? {}) as { onlyReturnExisting?: boolean };
      const known = state.accountKnown && (path.length > 1 || key === state.holder);
      if (onlyReturnExisting && known) return { status: 200, headers: { location: `${base}/account/1` }, body: {} };
      if (onlyReturnExisting) return problem(400, 'accountDoesNotExist', 'no such account');
      if (path.length === 1) state.holder ??= key;
      if (path.length > 1 && !state.accountKnown) return problem(400, 'accountDoesNotExist', 'no such account');
      return {
        status: path.length > 1 ? 200 : 201,
        headers: { location: `${base}/account/1` },
        body: { status: 'valid' },
      };
    }
    if (endpoint === 'keyChange') {
      const { jwk } = decode((payload as { protected: string }).protected) as { jwk: object };
      Object.assign(state, { holder: JSON.stringify(jwk), changed: true });
      return { status: 200, body: {} };
    }
    if (endpoint === 'newOrder') {
      const { identifiers } = payload as { identifiers: { value: string }[] };
      orders.push({ names: identifiers.map(({ value }) => value), status: 'pending' });
      const at = orders.length - 1;
      if (state.validation !== 'manual') state.authorization = 'pending';
      return { status: 201, headers: { location: `${base}/order/${at}` }, body: order(at) };
    }
    if (endpoint === 'order') {
      const known = orders[index];
      if (known) fake.onOrder(known);
      return { status: 200, headers: state.orderHeaders, body: order(index) };
    }
    if (endpoint === 'authz') {
      const challenge = {
        type: 'http-01',
        url: `${base}/challenge/${index}`,
        token: `token-${index}`,
        status: state.challenge,
      };
      const error = state.challengeError === undefined ? {} : { error: state.challengeError };
      return {
        status: 200,
        body: {
          status: state.authorization,
          identifier: { type: 'dns', value: path[2] },
          challenges: [
            { type: 'dns-01', url: `${base}/challenge/dns`, token: 'other', status: 'pending' },
            { ...challenge, ...error },
          ],
        },
      };
    }
    if (endpoint === 'challenge') {
      const known = orders[index];
      if (known && state.validation !== 'manual') {
        state.authorization = state.validation;
        known.status = state.validation === 'valid' ? 'ready' : 'invalid';
      }
      return { status: 200, body: { status: 'processing' } };
    }
    if (endpoint === 'finalize') {
      const known = orders[index];
      if (known?.status !== 'ready') return problem(403, 'orderNotReady', `Order's status is ${known?.status}`);
      known.status = state.validation === 'manual' ? 'processing' : 'valid';
      return { status: 200, headers: state.orderHeaders, body: order(index) };
    }
    return { status: 200, headers: { 'content-type': 'application/pem-certificate-chain' }, body: state.certificate };
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').slice(1).split('/');
    const endpoint = path[0] as Endpoint;
    const text = Buffer.concat((await request.toArray()) as Buffer[]).toString();
    const signed = text === '' ? undefined : (JSON.parse(text) as Jws);
    const header = signed && (decode(signed.protected) as { nonce: string; jwk?: object; kid?: string });
    if (header?.jwk) accountKeys.add(JSON.stringify(header.jwk));
    const payload = signed?.payload ? decode(signed.payload) : null;
    const { method = '', headers } = request;
    received.push({ endpoint, method, nonce: header?.nonce ?? null, payload, userAgent: headers['user-agent'] ?? '' });
    let answer: Answer;
    const misbehaviour = queued.get(endpoint)?.shift();
    if (header && !nonces.delete(header.nonce)) answer = problem(400, 'badNonce', 'this nonce was used before');
    else if (signed && header?.kid && state.changed && !signedBy(state.holder, signed)) {
      answer = problem(400, 'malformed', 'JWS verification error');
    } else if (misbehaviour === undefined || misbehaviour === 'lost') {
      answer = act(endpoint, path, payload, header?.jwk ? JSON.stringify(header.jwk) : null);
    } else answer = misbehaviour;
    if (misbehaviour === 'lost') {
      request.socket.destroy();
      return;
    }
    const json = typeof answer.body === 'object';
    response.writeHead(answer.status, {
      'content-type': json ? (answer.status < 400 ? 'application/json' : 'application/problem+json') : 'text/html',
      'replay-nonce': nonce(),
      ...answer.headers,
    });
    response.end(json ? JSON.stringify(answer.body) : answer.body);
  }

  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const fake = {
    directory: `${base}/directory`,
    received,
    orders,
    /** Of every key that asked for an account. */
    accountKeys,
    state,
    /** Misbehaves once per call, at the next request to the endpoint. */
    next(endpoint: Endpoint, misbehaviour: Misbehaviour): void {
      queued.set(endpoint, [...(queued.get(endpoint) ?? []), misbehaviour]);
    },
    posts: (endpoint: Endpoint) => received.filter((one) => one.endpoint === endpoint && one.method === 'POST'),
    async close(): Promise<void> {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
    /** Called before an order is told. */
    onOrder: (_order: { names: string[]; status: string }): void => undefined,
  };
  return fake;
}

/** One that finds the domain valid at once, and has a certificate for it. */
export async function willingAuthority(domain: string): Promise<FakeAuthority> {
  const fake = await fakeAuthority();
  fake.state.validation = 'valid';
  fake.state.certificate = (await selfSigned([domain], 45)).cert;
  return fake;
}

export type FakeAuthority = Awaited<ReturnType<typeof fakeAuthority>>;

interface Jws {
  protected: string;
  payload: string;
  signature: string;
}

function signedBy(holder: string | null, { protected: head, payload, signature }: Jws): boolean {
  const key = createPublicKey({ key: JSON.parse(holder ?? '{}') as Record<string, string>, format: 'jwk' });
  const bytes = Buffer.from(signature, 'base64url');
  return verify('sha256', Buffer.from(`${head}.${payload}`), { key, dsaEncoding: 'ieee-p1363' }, bytes);
}

function decode(part: string): unknown {
  return JSON.parse(Buffer.from(part, 'base64url').toString()) as unknown;
}
