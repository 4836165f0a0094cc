import type { Db } from '../inventory/database.js';
import * as obligations from '../inventory/obligations.js';
import * as operations from '../inventory/operations.js';
import type { Operation, OperationFilter } from '../inventory/operations.js';
import * as sites from '../inventory/sites.js';
import { whereabouts, type Whereabouts } from '../inventory/whereabouts.js';
import { failure } from '../workflows/failures.js';
import { describeLine } from '../workflows/line.js';
import { UNDO } from '../workflows/plans.js';
import type { Told } from './follow.js';
import type { Chom } from './open.js';
import { describeOwed, obligationDocument, operationDocument, statusOf, targetOf, tookOf } from './operation.js';
import { describeProblem, problemOfOperation } from './problem.js';
import { howFar } from './progress-probe.js';
import { describeStep, shownSteps } from './step-tree.js';
import { facts, table } from './text.js';

/** Which operations are listed. */
export interface Listed {
  /** At most so many. */
  limit: number;
  /** Only those that failed, and were not forgotten. */
  failed?: boolean;
  /** Only those that have not ended. */
  running?: boolean;
  kind?: string;
  /** Only those of one site, by its name in DNS or an alias; also of one that was removed. */
  domain?: string;
}

/** The tenant's operations, the newest first. @throws NotFound no such site */
export async function listOperations(
  { tenant, inventory }: Chom,
  { limit, domain, ...wanted }: Listed,
): Promise<{ document: { operations: object[] }; text: string }> {
  const filter: OperationFilter = { tenant, limit };
  if (wanted.kind !== undefined) filter.kind = wanted.kind;
  if (wanted.failed) Object.assign(filter, { outcome: 'failed', forgotten: false } satisfies OperationFilter);
  const found = (await matching(inventory.db, filter, domain ?? null, wanted.running === true)).slice(0, limit);
  const { db } = inventory;
  const listed = await Promise.all(
    found.map(async (one) => ({ one, line: one.outcome === null ? await whereabouts(db, one.root) : null })),
  );
  const rows = await Promise.all(
    listed.map(async ({ one, line }) => [
      ...[one.id, await standing(db, one, line), await targetOf(db, one)],
      ...[one.askedAt, tookOf(one), waitsFor(line)],
    ]),
  );
  const text = found.length === 0 ? '' : table(['OPERATION', 'STATUS', 'TARGET', 'ASKED', 'TOOK', 'WAITS FOR'], rows);
  return { document: { operations: listed.map(({ one, line }) => ({ ...operationDocument(one), line })) }, text };
}

/** An operation: its steps, warnings and outcome. @throws NotFound */
export async function showOperation(chom: Chom, id: string): Promise<Told> {
  const { inventory } = chom;
  const operation = await operations.byId(inventory.db, id, chom);
  const { parent, askedAt, startedAt, endedAt, outcome } = operation;
  const { steps, warnings, silence } = await howFar(chom, operation);
  const line = outcome === null ? await whereabouts(inventory.db, id) : null;
  const owed = await obligations.stillOpen(inventory.db, { operation: id });
  const seen = { operation, steps, warnings, question: null, silence: null, children: [] };
  const lines = [
    facts([
      ['operation', id],
      ['kind', operation.kind],
      ['status', statusOf(operation)],
      ['target', await targetOf(inventory.db, operation)],
      ['inside', parent],
      ['waits', line && describeLine(line)],
      ['asked', askedAt],
      ['started', startedAt],
      ['ended', endedAt],
      ['took', tookOf(operation)],
      ['owes', describeOwed(owed)],
    ]),
    ...shownSteps(seen).map((shown) => describeStep(shown, { colour: false, now: Date.now() })),
    ...warnings.map((warning) => `⚠ ${warning}`),
    ...(silence === null ? [] : [`How far it is cannot be said now: ${silence}`]),
    ...(outcome === 'failed' ? [describeProblem(problemOfOperation(operation))] : []),
  ];
  const document = { ...operationDocument(operation), line, warnings, steps };
  return { document: { ...document, obligations: owed.map(obligationDocument) }, text: lines.join('\n') };
}

/** Its status; of one in line, which place it has, of one that was deferred, when it is tried again. */
async function standing(db: Db, operation: Operation, line: Whereabouts | null): Promise<string> {
  if (line) return `waiting, ${line.position} of ${line.waiting}`;
  const status = statusOf(operation);
  if (status === 'delayed') return `delayed until ${operation.startsAt}`;
  const open = status === 'deferred' ? await obligations.stillOpen(db, { operation: operation.id }) : [];
  const owed = open.find(({ name }) => name !== UNDO);
  return owed ? `${status} until ${owed.due}` : status;
}

/** Who is in the way of one in line, and since when it waits. */
function waitsFor(line: Whereabouts | null): string {
  if (!line) return '';
  const [first, ...more] = line.inTheWay;
  const also = more.length > 0 ? ` (+${more.length})` : '';
  return `${first ? `${first.operation}${also}` : 'its turn'} since ${line.since}`;
}

/** A domain may have had several sites, also such as were removed, and what has not ended has one of several states. */
async function matching(
  db: Db,
  filter: OperationFilter,
  domain: string | null,
  running: boolean,
): Promise<Operation[]> {
  const { tenant = '' } = filter;
  const had = domain === null ? [] : await sites.named(db, { tenant, domain });
  const ids = domain === null ? [null] : had.map(({ id }) => id);
  if (domain !== null && ids.length === 0)
    throw failure('NotFound', `There is no site ${domain}`, { next: 'chom site list' });
  const states = running ? (['asked', 'waiting', 'running'] as const) : [null];
  const found: Operation[] = [];
  for (const site of ids) {
    for (const state of states) {
      found.push(
        ...(await operations.list(db, { ...filter, ...(site !== null && { site }), ...(state !== null && { state }) })),
      );
    }
  }
  return found.sort((a, b) => b.askedAt.localeCompare(a.askedAt) || b.id.localeCompare(a.id));
}
