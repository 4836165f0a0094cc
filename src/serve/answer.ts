import type { Context } from 'hono';
import type { z } from 'zod';
import * as apiRequests from '../inventory/api-requests.js';
import type { KeyedRequest } from '../inventory/api-requests.js';
import type { ApiToken } from '../inventory/api-tokens.js';
import * as operations from '../inventory/operations.js';
import type { Chom } from '../client/open.js';
import { hashedOperationId, newOperationId } from '../client/submit.js';
import { failure, isFailureType } from '../workflows/failures.js';
import type { Env } from './app.js';
import { Refusal } from './problem.js';
import type { Route } from './route.js';

const MOST_KEY_CHARACTERS = 200;

/** Requests with a key that are being answered by this process: the same one again at the same time is refused. */
const answering = new Set<string>();

/** Checks a request against the schemas of its route, and answers it. @throws what its verb throws; Refusal */
export async function answerRoute(c: Context<Env>, route: Route, token: ApiToken): Promise<Response> {
  const chom = c.get('chom');
  const path = checked(route.params, c.req.param(), 'path');
  const query = checked(route.query, queryOf(c), 'query');
  const text = route.body === null ? '' : await c.req.text();
  const body = route.body === null ? {} : checked(route.body, parseBody(c, text), 'body');
  const ask = async (operation: string) =>
    await route.answerWith({ chom, path, query, body, operation, scope: token.scope });
  const { asksFor } = route;
  if (asksFor === undefined) return c.json(await ask(''));
  const key = c.req.header('Idempotency-Key');
  const operation = newOperationId(asksFor as Parameters<typeof newOperationId>[0]);
  if (key === undefined) return accepted(c, await asked(chom, operation, ask));
  const content = `${c.req.method} ${c.req.url.replace(/^[a-z]+:\/\/[^/]*/i, '')}\n${text}`;
  return accepted(c, await once(chom, { token: token.id, key: checkKey(key), content }, asksFor, ask));
}

type Ask = (operation: string) => Promise<object>;

/** The operation that was asked for. One that Temporal could not be told of is asked for too: a worker's sweep starts it. */
async function asked(chom: Chom, operation: string, ask: Ask): Promise<string> {
  try {
    return ((await ask(operation)) as { operation: string }).operation;
  } catch (error) {
    const type: unknown = Reflect.get(Object(error), 'type');
    if (!isFailureType(type) || type !== 'TemporalUnavailable') throw error;
    if (!(await operations.find(chom.inventory.db, operation))) throw error;
    return operation;
  }
}

/** Under one key a request is done once, however often it comes. */
async function once(chom: Chom, request: KeyedRequest, kind: string, ask: Ask): Promise<string> {
  const { inventory, tenant } = chom;
  const lock = `${request.token} ${request.key}`;
  if (answering.has(lock)) {
    throw failure('Conflict', 'The same request is being answered', { next: 'send it again in a moment' });
  }
  answering.add(lock);
  try {
    const operation = await inventory
      .transaction(async (trx) => await apiRequests.reserve(trx, request, keyedId(request, kind)))
      .catch((error: unknown) => {
        throw Reflect.get(Object(error), 'type') === 'InvalidInput' ? reused() : error;
      });
    const known = await operations.find(inventory.db, operation);
    if (known?.tenant === tenant) return operation;
    const made = await asked(chom, operation, ask);
    if (made !== operation) await inventory.transaction(async (trx) => await apiRequests.settle(trx, request, made));
    return made;
  } finally {
    answering.delete(lock);
  }
}

/** Longer than others by far: whoever chooses keys must not be able to meet the id of an operation that is not his. */
function keyedId({ token, key }: KeyedRequest, kind: string): string {
  return hashedOperationId(kind, `${token}\n${key}`, 26);
}

function checkKey(key: string): string {
  if (key.length <= MOST_KEY_CHARACTERS && /^[\x21-\x7e]+$/.test(key)) return key;
  throw failure('InvalidInput', 'The Idempotency-Key is no key', {
    cause: `it has 1 to ${MOST_KEY_CHARACTERS} characters of ASCII, without spaces`,
  });
}

function accepted(c: Context<Env>, operation: string): Response {
  return c.json({ operation, status: 'running' }, 202, { Location: `/v1/operations/${encodeURIComponent(operation)}` });
}

function reused(): Refusal {
  return new Refusal(422, 'The Idempotency-Key was used for another request', {
    cause: 'a key stands for one request, word for word',
    next: 'send what is new under a new key',
  });
}

function queryOf(c: Context<Env>): Record<string, string> {
  const all = Object.entries(c.req.queries());
  const twice = all.find(([, values]) => values.length > 1);
  if (twice) throw failure('InvalidInput', `query: ${twice[0].slice(0, 60)} is given twice`);
  return Object.fromEntries(all.map(([name, [value = '']]) => [name, value]));
}

function parseBody(c: Context<Env>, text: string): unknown {
  if (text === '') return {};
  const [type = ''] = (c.req.header('Content-Type') ?? '').split(';');
  if (type.trim().toLowerCase() !== 'application/json') {
    throw new Refusal(415, 'The body is no JSON', { next: 'Content-Type: application/json' });
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw failure('InvalidInput', 'The body is no JSON');
  }
}

/** @throws InvalidInput naming each part that is wrong */
function checked(schema: z.ZodObject, value: unknown, where: string): Record<string, unknown> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const wrong = parsed.error.issues.map(({ path, message }) => `${[where, ...path].join('.')}: ${message}`);
  throw failure('InvalidInput', wrong.slice(0, 5).join('; ').slice(0, 1000));
}
