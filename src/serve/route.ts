import { z } from 'zod';
import type { Chom } from '../client/open.js';
import type { Scope } from '../inventory/api-tokens.js';
import type { OperationKind } from '../workflows/step.js';

/** A request of which everything was checked that can be checked without the inventory. */
export interface Asked<Path, Query, Body> {
  /** CHOM as the token's tenant has it. */
  chom: Chom;
  path: Path;
  query: Query;
  body: Body;
  /** Id for the operation that the request asks for. */
  operation: string;
  /** What the token lets its bearer do. */
  scope: Scope;
}

interface Described {
  method: 'GET' | 'POST' | 'DELETE';
  /** With parameters in braces, as OpenAPI writes them. */
  path: `/v1/${string}`;
  /** Its name for generated clients. */
  id: string;
  summary: string;
  /** What a token must let its bearer do. */
  scope: Scope;
  /** Of the answer's body, where all is well. */
  answer: z.ZodType;
  /** The kind of operation that it asks for and does not wait for; then it takes an Idempotency-Key. */
  asksFor?: OperationKind | 'retry';
}

/** One thing that the API can be asked. */
export interface Route extends Described {
  params: z.ZodObject;
  query: z.ZodObject;
  /** Null: it takes no body. */
  body: z.ZodObject | null;
  /** @throws what the same verb of the command line throws */
  answerWith(asked: Asked<unknown, unknown, unknown>): Promise<object>;
}

/** A route whose function gets what its schemas make of a request. Whatever they do not name is refused. */
export function route<
  Path extends z.ZodRawShape = z.ZodRawShape,
  Query extends z.ZodRawShape = z.ZodRawShape,
  Body extends z.ZodRawShape = z.ZodRawShape,
>(
  described: Described & {
    params?: Path;
    query?: Query;
    body?: Body;
    run(
      asked: Asked<z.output<z.ZodObject<Path>>, z.output<z.ZodObject<Query>>, z.output<z.ZodObject<Body>>>,
    ): Promise<object>;
  },
): Route {
  const { params, query, body, run, ...rest } = described;
  return {
    ...rest,
    params: z.strictObject(params ?? {}),
    query: z.strictObject(query ?? {}),
    body: described.method === 'POST' ? z.strictObject(body ?? {}) : null,
    answerWith: run as Route['answerWith'],
  };
}
