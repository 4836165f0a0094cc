import { z } from 'zod';
import * as documents from './documents.js';
import { operation } from './parameters.js';
import type { Route } from './route.js';
import { ROUTES } from './routes.js';
import { UPLOAD_PATH } from './uploads.js';

type Json = Record<string, unknown>;

const PROBLEM = { $ref: '#/components/schemas/Problem' };

/** OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1.html), made from the schemas that requests are checked with. */
export function openApi(): Json {
  const paths: Record<string, Json> = {};
  for (const route of ROUTES) {
    (paths[route.path] ??= {})[route.method.toLowerCase()] = operationOf(route);
  }
  paths[UPLOAD_PATH] = { post: uploadOperation() };
  paths['/v1/operations/{operation}/events'] = { get: eventsOperation() };
  return {
    openapi: '3.1.1',
    info: {
      title: 'CHOM',
      version: '1',
      description:
        'What a tenant of CHOM can see and ask for. Whatever is asked for is an operation: it goes on by itself, and is followed by its id.',
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'chom token create NAME' } },
      schemas: { Problem: schemaOf(documents.problem, 'output') },
    },
  };
}

function operationOf(route: Route): Json {
  const { id, summary, scope, params, query, body, asksFor, answer } = route;
  const parameters = [...parametersOf(params, 'path'), ...parametersOf(query, 'query')];
  if (asksFor !== undefined) parameters.push(IDEMPOTENCY_KEY);
  const content = { 'application/json': { schema: schemaOf(answer, 'output') } };
  return {
    operationId: id,
    summary,
    description: `Needs a token of the scope \`${scope}\`.`,
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: {
        required: (z.toJSONSchema(body, { io: 'input' }).required ?? []).length > 0,
        content: { 'application/json': { schema: schemaOf(body, 'input') } },
      },
    }),
    responses: {
      [asksFor === undefined ? '200' : '202']: {
        description: asksFor === undefined ? 'As the command line prints it with --json' : 'Asked for',
        content,
        ...(asksFor !== undefined && { headers: { Location: { schema: { type: 'string' } } } }),
      },
      ...problems(body !== null || asksFor !== undefined),
    },
  };
}

const IDEMPOTENCY_KEY: Json = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'Of your choice: the same request under the same key is done once, however often it is sent',
  schema: { type: 'string', minLength: 1, maxLength: 200, pattern: '^[\\x21-\\x7e]+$' },
};

function eventsOperation(): Json {
  return {
    operationId: 'watchOperation',
    summary: 'Follow an operation to its end, as server-sent events: `seen` with each change, then `end` or `problem`',
    description: 'Needs a token of the scope `read`. The stream ends within seconds of the token’s revocation.',
    parameters: parametersOf(z.object({ operation }), 'path'),
    responses: {
      '200': { description: 'Events', content: { 'text/event-stream': { schema: { type: 'string' } } } },
      ...problems(false),
    },
  };
}

function uploadOperation(): Json {
  return {
    operationId: 'upload',
    summary: 'Send the files of a new site, as a tar archive, plain or with gzip',
    description: 'Needs a token of the scope `operate`. It is kept for an hour, for one site; at most 512 MiB.',
    requestBody: { required: true, content: { 'application/octet-stream': { schema: { type: 'string' } } } },
    responses: {
      '201': {
        description: 'Kept',
        content: { 'application/json': { schema: schemaOf(documents.upload, 'output') } },
      },
      ...problems(true),
    },
  };
}

function parametersOf(schema: z.ZodObject, where: 'path' | 'query'): Json[] {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'input' });
  return Object.entries(properties).map(([name, given]) => {
    const { description, ...rest } = given as Json;
    return {
      ...{ name, in: where, required: required.includes(name), schema: rest },
      ...(description !== undefined && { description }),
    };
  });
}

function problems(changes: boolean): Json {
  const all: [number, string][] = [
    [400, 'The request is wrong'],
    [401, 'No token that is valid'],
    [403, 'Nothing for this token'],
    [404, 'No such thing, or not yours'],
    [405, 'Not with this method'],
    [409, 'Not as things are'],
    ...(changes
      ? ([
          [413, 'Too large'],
          [415, 'No JSON'],
          [422, 'The Idempotency-Key stands for another request'],
        ] as [number, string][])
      : []),
    [429, 'Too many requests'],
    [500, 'Nobody expected this'],
    [503, 'A part of CHOM is away'],
  ];
  const content = { 'application/problem+json': { schema: PROBLEM } };
  return Object.fromEntries(all.map(([status, description]) => [String(status), { description, content }]));
}

/** Requests hold nothing that is not known; answers may come to hold more. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const open = ({ jsonSchema }: { jsonSchema: { additionalProperties?: unknown } }) => {
    if (jsonSchema.additionalProperties === false) jsonSchema.additionalProperties = {};
  };
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, ...(io === 'output' && { override: open }) }) as Json;
  return rest;
}
