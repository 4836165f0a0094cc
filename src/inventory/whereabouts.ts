import { failure } from '../workflows/failures.js';
import type { Db } from './database.js';
import { order } from './line.js';
import * as places from './places.js';
import type { Place } from './places.js';

/** Who is at work where another one would be. */
export interface InTheWay {
  operation: string;
  kind: string | null;
  site: string | null;
  /** ISO-8601 UTC. */
  since: string;
}

/** Where an operation stands in its server's line. */
export interface Whereabouts {
  /** From 1, as things are now: one of higher priority that comes later may pass. */
  position: number;
  /** How many wait. */
  waiting: number;
  /** Since when it waits, ISO-8601 UTC. */
  since: string;
  /** Those of its own tenant: others are none of its business. */
  inTheWay: InTheWay[];
}

/** Null when it does not wait. */
export async function whereabouts(db: Db, root: string): Promise<Whereabouts | null> {
  const own = await places.find(db, root);
  if (own?.state !== 'waiting') return null;
  const all = await places.list(db, { server: own.server });
  const line = all.filter(({ state }) => state === 'waiting').map(places.asWaiting);
  const served = await places.served(db, own.server);
  const position = order(line, served, Date.now()).findIndex((one) => one.root === root) + 1;
  const running = all.filter(({ state }) => state === 'running');
  const inTheWay = await named(
    db,
    blockers(own, running).filter(({ tenant }) => tenant === own.tenant),
  );
  return { position, waiting: line.length, since: own.since, inTheWay };
}

/** Those who exclude it; where nobody does, the server is full and it waits for any of them. */
function blockers(own: Place, running: readonly Place[]): readonly Place[] {
  if (own.exclusive) return running;
  const excluding = running.filter(({ exclusive, site }) => exclusive === 1 || (site !== null && site === own.site));
  return excluding.length > 0 ? excluding : running;
}

async function named(db: Db, running: readonly Place[]): Promise<InTheWay[]> {
  if (running.length === 0) return [];
  const ids = running.map(({ root }) => root);
  const rows = await db.selectFrom('operations').select(['id', 'kind']).where('id', 'in', ids).execute();
  const kinds = new Map(rows.map(({ id, kind }) => [id, kind]));
  return running.map(({ root, site, since }) => ({ operation: root, kind: kinds.get(root) ?? null, site, since }));
}

/** The refusal of one that does not want to wait. */
export function busy({ inTheWay, waiting }: Whereabouts): Error {
  const [first] = inTheWay;
  const also = waiting > 1 ? `, and ${waiting - 1} more wait` : '';
  const who = first
    ? `${first.kind ?? 'an operation'} (${first.operation}) is at work since ${first.since}`
    : 'others are at work there';
  return failure('Busy', `There is no free place: ${who}${also}`, {
    ...(first && { holder: first.operation }),
    cause: 'One operation at a time works on a site, some want the server alone, and a server takes a few at once',
    next: first ? `chom op watch ${first.operation}` : 'chom op list --running',
  });
}
