import type { Db } from './database.js';

/** A server's key is due to be replaced after so many days. */
export const ROTATION_DAYS = 90;
const DAY_MS = 24 * 3_600_000;

/** The key that gets into a server. */
export interface KeyAge {
  server: string;
  name: string;
  /** When it was made, ISO-8601 UTC: by a rotation, or by the server's enrolment. */
  rotatedAt: string;
  /** ISO-8601 UTC. */
  dueAt: string;
  /** Whole days since then; 0 on the first; null: it is not due yet. */
  daysLate: number | null;
}

/** The keys of a tenant's enrolled servers, the longest in use first. `now` in milliseconds. */
export async function keyAges(db: Db, tenant: string, now: number): Promise<KeyAge[]> {
  const rows = await db
    .selectFrom('credentials')
    .innerJoin('servers', 'servers.id', 'credentials.server')
    .select(['servers.id', 'servers.name', 'credentials.createdAt'])
    .where('servers.tenant', '=', tenant)
    .where('servers.status', '=', 'active')
    .where('credentials.kind', '=', 'server-key')
    .where('credentials.state', '=', 'current')
    .orderBy('credentials.createdAt')
    .orderBy('servers.name')
    .execute();
  return rows.map(({ id, name, createdAt }) => ({ server: id, name, ...age(createdAt, now) }));
}

/** Of a key that was made then. */
function age(rotatedAt: string, now: number): Pick<KeyAge, 'rotatedAt' | 'dueAt' | 'daysLate'> {
  const due = Date.parse(rotatedAt) + ROTATION_DAYS * DAY_MS;
  return {
    rotatedAt,
    dueAt: new Date(due).toISOString(),
    daysLate: now < due ? null : Math.floor((now - due) / DAY_MS),
  };
}
