import { getConnInfo } from '@hono/node-server/conninfo';
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { ApiToken } from '../inventory/api-tokens.js';
import type { Chom } from '../client/open.js';
import { answerRoute } from './answer.js';
import { Bearers, RATES, type Rates } from './bearer.js';
import { streamEvents } from './events.js';
import { openApi } from './openapi.js';
import { describeFailure, Refusal } from './problem.js';
import { ROUTES } from './routes.js';
import { refuseScope } from './scope.js';
import { takeUpload, UPLOAD_PATH } from './uploads.js';

/** What the API is served with. */
export interface Serving {
  /** As its administrator has it; each request gets it as its own tenant has it. */
  chom: Chom;
  /** A line for the administrator. */
  log(line: string): void;
  /** Aborted when the server ends: streams end with it. */
  closing: AbortSignal;
  /** Over TLS, which browsers shall insist on then. */
  tls: boolean;
  rates?: Rates;
  /** How often a stream asks whether its token may still be used, in milliseconds; 2000 unless said. */
  checkEvery?: number;
}

export type Env = { Variables: { token: ApiToken; chom: Chom } };

/** A plan is some hundred bytes, a deploy key some thousand. */
const BODY_LIMIT_BYTES = 64 * 1024;

const HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
};

/** The API as a function from requests to responses. */
export function apiApp(serving: Serving): Hono<Env> {
  const { chom, tls } = serving;
  const app = new Hono<Env>();
  const bearers = new Bearers(chom.inventory, serving.rates ?? RATES);
  app.use('*', async (c, next) => {
    for (const [name, value] of Object.entries(HEADERS)) c.header(name, value);
    if (tls) c.header('Strict-Transport-Security', 'max-age=31536000');
    // Answered by the function of a GET, its stream would have no reader.
    if (c.req.method === 'HEAD') throw notAllowed('GET');
    await next();
  });
  app.get('/healthz', (c) => c.json({ status: 'ok' }));
  const document = openApi();
  app.get('/openapi.json', (c) => c.json(document));
  app.use('/v1/*', async (c, next) => {
    const token = await bearers.admit(c.req.header('Authorization'), getConnInfo(c).remote.address ?? '');
    c.set('token', token);
    c.set('chom', { ...chom, tenant: token.tenant, asking: {} });
    await next();
  });
  const refuseLarge = () => {
    throw new Refusal(413, `The body has more than ${BODY_LIMIT_BYTES} bytes`);
  };
  const limit = bodyLimit({ maxSize: BODY_LIMIT_BYTES, onError: refuseLarge });
  app.use('/v1/*', async (c, next) => {
    // It has a limit of its own, and is read as it arrives.
    if (c.req.method === 'POST' && c.req.path === UPLOAD_PATH) return await next();
    return await limit(c, next);
  });
  const streams = new Map<string, number>();
  app.get(honoPath('/v1/operations/{operation}/events'), async (c) => {
    refuseScope(c.get('token').scope, 'read');
    return await streamEvents(c, serving, streams);
  });
  app.post(UPLOAD_PATH, async (c) => {
    refuseScope(c.get('token').scope, 'operate');
    return await takeUpload(c);
  });
  const allowed = new Map([
    ['/v1/operations/{operation}/events', ['GET']],
    [UPLOAD_PATH, ['POST']],
  ]);
  for (const one of ROUTES) {
    app.on(one.method, honoPath(one.path), async (c) => {
      refuseScope(c.get('token').scope, one.scope);
      return await answerRoute(c, one, c.get('token'));
    });
    allowed.set(one.path, [...(allowed.get(one.path) ?? []), one.method]);
  }
  for (const [path, methods] of allowed) {
    app.all(honoPath(path), () => {
      throw notAllowed(methods.join(', '));
    });
  }
  app.notFound((c) => problem(c, new Refusal(404, 'There is nothing at this address', { next: 'GET /openapi.json' })));
  app.onError((error, c) => problem(c, error, serving));
  return app;
}

function problem(c: Context, error: unknown, serving?: Serving): Response {
  const { document, headers, told } = describeFailure(error);
  if (!told) {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    serving?.log(`${c.req.method} ${c.req.path} failed: ${text}`);
  }
  for (const [name, value] of Object.entries(HEADERS)) c.header(name, value);
  return c.json(document, document.status as ContentfulStatusCode, {
    ...headers,
    'Content-Type': 'application/problem+json',
  });
}

function notAllowed(methods: string): Refusal {
  return new Refusal(405, 'The method is not allowed there', { cause: methods, headers: { Allow: methods } });
}

function honoPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}
