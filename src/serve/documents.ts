import { z } from 'zod';

/** What the API answers: the documents that the same commands print with --json. Fields may be added to them. */

const time = z.iso.datetime().describe('ISO 8601, UTC');
const maybeTime = time.nullable();
const text = z.string().nullable();

const obligation = z.looseObject({ operation: z.string(), name: z.string(), due: time, tries: z.int() });

const error = z.looseObject({
  type: z.string().describe('One of CHOM’s types of failure'),
  message: z.string(),
  server: text,
  step: text,
  cause: text,
  next: text,
});

/** An operation, without its steps. */
export const operation = z.looseObject({
  operation: z.string().describe('Its id'),
  kind: z.string(),
  status: z.enum(['running', 'waiting', 'succeeded', 'failed', 'cancelled', 'deferred', 'delayed']),
  state: z.string(),
  parent: text,
  warnings: z.array(z.string()),
  askedAt: time,
  startsAt: maybeTime.describe('It begins not before that'),
  startedAt: maybeTime,
  endedAt: maybeTime,
  error: error.nullable(),
});

const line = z.looseObject({ position: z.int(), waiting: z.int(), since: time }).nullable();

const step = z.looseObject({
  index: z.int(),
  label: z.string(),
  state: z.string(),
  attempt: z.int(),
  startedAt: z.number().describe('Milliseconds since 1970'),
});

export const operations = z.looseObject({ operations: z.array(operation.extend({ line })) });
export const wholeOperation = operation.extend({ line, steps: z.array(step), obligations: z.array(obligation) });

/** An operation that was asked for: it goes on by itself. */
export const asked = z.looseObject({
  operation: z.string().describe('Its id, for GET /v1/operations/{operation}'),
  status: z.literal('running'),
});
export const cancelled = z.looseObject({ operation: z.string(), status: z.enum(['cancelled', 'running']) });

const certificate = z.looseObject({
  id: z.string(),
  names: z.array(z.string()),
  serial: z.string(),
  fingerprint: z.string(),
  issuer: z.string(),
  notBefore: time,
  notAfter: time,
  state: z.string(),
});

export const certificates = z.looseObject({
  certificates: z.array(certificate.extend({ site: z.string(), renewal: z.looseObject({}).nullable() })),
});

const site = z.looseObject({
  id: z.string(),
  domain: z.string(),
  aliases: z.array(z.string()),
  type: z.string(),
  php: text,
  database: text,
  server: z.string(),
  tls: z.boolean(),
  status: z.string(),
  suspended: z.looseObject({ since: time, reason: text }).nullable(),
  createdAt: time,
});

export const sites = z.looseObject({ sites: z.array(site) });
export const wholeSite = z.looseObject({
  site,
  certificate: certificate.nullable(),
  obligations: z.array(obligation),
  retention: z.looseObject({}),
  lastOperation: operation.nullable(),
});

const backup = z.looseObject({
  id: z.string(),
  operation: z.string(),
  kind: z.string(),
  tag: z.string(),
  state: z.string(),
  startedAt: time,
  finishedAt: maybeTime,
  verifiedAt: maybeTime,
  bytes: z.number().nullable(),
  reason: text,
});

export const backups = z.looseObject({ site: z.string(), backups: z.array(backup) });
export const backedUp = z.looseObject({
  sites: z.array(
    z.looseObject({
      site: z.string(),
      count: z.int(),
      newestVerified: backup.nullable(),
      newest: backup.nullable(),
    }),
  ),
});
export const wholeBackup = z.looseObject({
  backup: backup.extend({
    site: z.string(),
    storage: z.string(),
    snapshots: z.array(z.looseObject({ id: z.string() })),
  }),
});

const server = z.looseObject({
  id: z.string(),
  name: z.string(),
  status: z.string(),
  address: z.string(),
  os: text,
  osVersion: text,
  createdAt: time,
});

export const servers = z.looseObject({ servers: z.array(server) });
export const wholeServer = z.looseObject({
  server: server.extend({
    sites: z.array(z.string()),
    atWork: z.array(z.string()),
    inLine: z.array(z.string()),
    obligations: z.array(obligation),
  }),
});

export const storages = z.looseObject({
  storages: z.array(
    z.looseObject({
      name: z.string(),
      kind: z.string(),
      shared: z.boolean().describe('Other tenants use it as well'),
      access: text.describe('`append-only`: whoever breaks into a server cannot delete backups'),
      probedAt: maybeTime,
      sites: z.array(z.string()),
    }),
  ),
});

/** The first login of an application, which is shown once. */
export const login = z.looseObject({ admin: z.looseObject({ user: z.string(), password: z.string() }).nullable() });

/** RFC 9457, with what CHOM's failures say beside it. */
export const problem = z.looseObject({
  type: z.string().describe('urn:chom:problem: and the failure’s type'),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  cause: text,
  next: text.describe('The command that helps'),
  operation: text.describe('The operation that is in the way, or was asked for'),
});
