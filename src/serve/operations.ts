import { z } from 'zod';
import { cancelOperation } from '../client/cancel.js';
import { parseDomain } from '../client/domain.js';
import { tellLogin } from '../client/first-login.js';
import { listOperations, showOperation } from '../client/operation-document.js';
import type { Chom } from '../client/open.js';
import { retryOperation } from '../client/retry-operation.js';
import * as operations from '../inventory/operations.js';
import { failure } from '../workflows/failures.js';
import type { OperationKind } from '../workflows/step.js';
import * as documents from './documents.js';
import { given } from './given.js';
import { domain, flag, operation } from './parameters.js';
import { route, type Route } from './route.js';
import { refuseScope } from './scope.js';

/** What tenants ask for themselves; the rest is asked for, stopped and retried by the administrator. */
const TENANTS: readonly OperationKind[] = [
  ...(['provision-site', 'issue-certificate', 'change-aliases', 'suspend-site', 'resume-site'] as const),
  ...(['delete-site', 'create-backup', 'verify-backup', 'restore-backup'] as const),
];

export const operationRoutes: readonly Route[] = [
  route({
    ...{ method: 'GET', path: '/v1/operations', id: 'listOperations', scope: 'read' },
    summary: 'Your operations, the newest first',
    answer: documents.operations,
    query: {
      limit: z.coerce.number().int().min(1).max(1000).default(20),
      failed: flag.optional(),
      running: flag.optional(),
      kind: z
        .string()
        .regex(/^[a-z-]{1,40}$/)
        .optional(),
      site: domain.optional(),
    },
    async run({ chom, query: { site, ...query } }) {
      if (query.failed && query.running) throw failure('InvalidInput', 'failed and running exclude each other');
      const listed = given({ ...query, domain: site === undefined ? undefined : parseDomain(site) });
      return (await listOperations(chom, listed)).document;
    },
  }),
  route({
    ...{ method: 'GET', path: '/v1/operations/{operation}', id: 'showOperation', scope: 'read' },
    summary: 'An operation: its steps, warnings and outcome',
    answer: documents.wholeOperation,
    params: { operation },
    run: async ({ chom, path }) => (await showOperation(chom, path.operation)).document,
  }),
  route({
    ...{ method: 'POST', path: '/v1/operations/{operation}/cancel', id: 'cancelOperation', scope: 'operate' },
    summary: 'Ask an operation to stop and to take back what it did',
    answer: documents.cancelled,
    params: { operation },
    async run({ chom, path }) {
      await refuseOthers(chom, path.operation);
      return { operation: path.operation, status: await cancelOperation(chom, path.operation) };
    },
  }),
  route({
    ...{ method: 'POST', path: '/v1/operations/{operation}/retry', id: 'retryOperation', scope: 'operate' },
    summary: 'Ask anew for what a failed operation was to do',
    answer: documents.asked,
    asksFor: 'retry',
    params: { operation },
    async run({ chom, path, scope }) {
      const kind = await refuseOthers(chom, path.operation);
      if (kind === 'restore-backup') refuseScope(scope, 'admin');
      return { operation: await retryOperation(chom, path.operation) };
    },
  }),
  route({
    ...{ method: 'POST', path: '/v1/operations/{operation}/login', id: 'takeLogin', scope: 'operate' },
    summary: 'The first login of the application that an operation has installed: shown once, kept nowhere',
    answer: documents.login,
    params: { operation },
    async run({ chom, path }) {
      const row = await operations.byId(chom.inventory.db, path.operation, chom);
      if (row.outcome !== 'succeeded') {
        throw failure('Conflict', `${row.id} has not succeeded`, { next: `chom op show ${row.id}` });
      }
      return { admin: null, ...(await tellLogin(chom, row)).document };
    },
  }),
];

/** @throws NotFound; Forbidden it is of a kind that the tenant cannot ask for */
async function refuseOthers(chom: Chom, id: string): Promise<OperationKind> {
  const { kind } = await operations.byId(chom.inventory.db, id, chom);
  if (TENANTS.includes(kind)) return kind;
  throw failure('Forbidden', `${id} is the administrator's`, { cause: `${kind} is nothing that a tenant asks for` });
}
