import type { Selectable } from 'kysely';
import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import * as findings from './findings.js';
import * as obligations from './obligations.js';
import type { ServerStatus, ServersTable } from './schema.js';

/** UIDs of sites start here on every server. */
const FIRST_UID = 20_000;

/** Versions of what a server runs, as enrolment found them. */
export interface Versions {
  /** Every PHP version (`8.4`) whose FPM is installed. */
  php: string[];
  nginx?: string;
  mariadb?: string;
  restic?: string;
  openssh?: string;
}

/** What of its upkeep is CHOM's affair, as the operator wants it. */
export interface Protection {
  firewall: boolean;
  /** Security updates by themselves. */
  updates: boolean;
  /** A swap file where there is little memory. */
  swap: boolean;
  /** A rule of CHOM's that rotates the logs of sites. */
  logrotate: boolean;
}

export interface Server extends Omit<Selectable<ServersTable>, 'versions' | 'protection' | 'tags'> {
  versions: Versions;
  /** In alphabetical order. */
  tags: string[];
  /** Null: it was enrolled before it could be said. */
  protection: Protection | null;
}

export interface NewServer {
  id: string;
  tenant: string;
  name: string;
  address: string;
  port: number;
  user: string;
}

/**
 * Adds a server that is to be enrolled. Of a name that is known already, the known server is returned: unchanged, unless
 * its enrolment never came to an end, in which case it is taken up again with what is given now.
 * @throws Conflict when the name belongs to a server that is enrolled under another address, port or user
 * @throws Busy when an operation is at work where the server is said to be, or waits for that
 */
export async function add(trx: Trx, server: NewServer): Promise<Server> {
  const at = now();
  // A machine that was removed and comes back may still hold files of the uids that its sites had.
  const { used } = await trx
    .selectFrom('servers')
    .select((row) => row.fn.max('nextUid').as('used'))
    .where('address', '=', server.address)
    .executeTakeFirstOrThrow();
  await trx
    .insertInto('servers')
    .values({
      ...server,
      hostKey: null,
      hostKeyFingerprint: null,
      machine: null,
      status: 'enrolling',
      os: null,
      osVersion: null,
      versions: JSON.stringify({ php: [] } satisfies Versions),
      smtpRelay: null,
      nextUid: Math.max(FIRST_UID, used ?? 0),
      protection: null,
      createdAt: at,
      updatedAt: at,
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const held = await named(trx, server.tenant, server.name, true);
  if (!held) throw failure('Conflict', `Server id ${server.id} is in use`);
  const { address, port, user } = server;
  const moved = held.address !== address || held.port !== port;
  const same = !moved && held.user === user;
  if (held.status === 'active') {
    if (same) return held;
    throw failure('Conflict', `Server ${held.name} is enrolled already, as ${held.user}@${held.address}:${held.port}`, {
      server: held.name,
      next: 'choose another name',
    });
  }
  if (!same) await refuseAtWork(trx, held);
  await trx
    .updateTable('servers')
    .set({ address, port, user, status: 'enrolling', updatedAt: at })
    // A key is pinned for the machine behind an address, not for a name.
    .$if(moved, (query) => query.set({ hostKey: null, hostKeyFingerprint: null, machine: null }))
    .where('id', '=', held.id)
    .execute();
  return await byId(trx, held.id);
}

/** An operation logs in where the row says: as long as one may, the row does not name another machine. */
async function refuseAtWork(trx: Trx, { id, name, address, port, user }: Server): Promise<void> {
  const ofServer = trx.selectFrom('places').select('root').where('server', '=', id);
  const place = await ofServer.orderBy('state').orderBy('turn').executeTakeFirst();
  if (!place) return;
  throw failure(
    'Busy',
    `Server ${name} cannot be moved: an operation is at work there, as ${user}@${address}:${port}`,
    {
      server: name,
      holder: place.root,
      cause: 'It is being enrolled, or removed, at the address that was given before',
      next: `chom op watch ${place.root}; or: chom op cancel ${place.root}`,
    },
  );
}

/** Pins the host key that was confirmed. @throws Conflict when another one is pinned */
export async function pinHostKey(trx: Trx, id: string, key: { hostKey: string; fingerprint: string }): Promise<void> {
  const server = await byId(trx, id);
  if (server.hostKeyFingerprint !== null && server.hostKeyFingerprint !== key.fingerprint) {
    throw failure('Conflict', `Server ${server.name} has another host key pinned: ${server.hostKeyFingerprint}`, {
      server: server.name,
    });
  }
  await update(trx, id, { hostKey: key.hostKey, hostKeyFingerprint: key.fingerprint });
}

/** Records what enrolment found on the server. */
export async function recordFacts(
  trx: Trx,
  id: string,
  facts: { os: string; osVersion: string; versions: Versions },
): Promise<void> {
  await update(trx, id, { ...facts, versions: JSON.stringify(facts.versions) });
}

/** `host:port` that takes the mail of its sites, or null. */
export async function setSmtpRelay(trx: Trx, id: string, smtpRelay: string | null): Promise<void> {
  await update(trx, id, { smtpRelay });
}

export async function setProtection(trx: Trx, id: string, protection: Protection): Promise<void> {
  await update(trx, id, { protection: JSON.stringify(protection) });
}

/** A host has seen UIDs below this one: none of them is given out again. It only grows. */
export async function learnNextUid(trx: Trx, id: string, nextUid: number): Promise<void> {
  await trx.updateTable('servers').set({ nextUid }).where('id', '=', id).where('nextUid', '<', nextUid).execute();
}

/** On a removed server nothing is owed, or wrong, any more. */
export async function setStatus(trx: Trx, id: string, status: ServerStatus): Promise<void> {
  await update(trx, id, { status });
  if (status !== 'removed') return;
  await obligations.cancel(trx, { server: id });
  await findings.forget(trx, id);
}

/** @throws NotFound */
export async function byId(db: Db, id: string): Promise<Server> {
  const row = await db.selectFrom('servers').selectAll().where('id', '=', id).executeTakeFirst();
  if (!row) throw unknown(id);
  return fromRow(row);
}

/** @throws NotFound also when it is another tenant's */
export async function byName(db: Db, tenant: string, name: string): Promise<Server> {
  const server = await named(db, tenant, name);
  if (!server) throw unknown(name);
  return server;
}

/** The same server. @throws Conflict it is not enrolled, or not any more */
export function expectEnrolled(server: Server): Server {
  const { name, status } = server;
  if (status === 'active') return server;
  const left = { cause: 'its enrolment has not ended well', next: `chom server add ${name}` };
  throw failure('Conflict', `Server ${name} is not enrolled: it is ${status}`, {
    server: name,
    ...(status === 'removed' ? { next: 'chom server list' } : left),
  });
}

/** By name. Removed ones are left out. */
export async function list(db: Db, filter: { tenant?: string } = {}): Promise<Server[]> {
  const { tenant } = filter;
  const rows = await db
    .selectFrom('servers')
    .selectAll()
    .where('status', '<>', 'removed')
    .$if(tenant !== undefined, (query) => query.where('tenant', '=', tenant ?? ''))
    .orderBy('name')
    .orderBy('id')
    .execute();
  return rows.map(fromRow);
}

/** `lock`: until the end of the transaction at hand. */
async function named(db: Db, tenant: string, name: string, lock = false): Promise<Server | null> {
  const row = await db
    .selectFrom('servers')
    .selectAll()
    .where('tenant', '=', tenant)
    .where('name', '=', name)
    .where('status', '<>', 'removed')
    .$if(lock, (query) => query.forUpdate())
    .executeTakeFirst();
  return row ? fromRow(row) : null;
}

type Change = Partial<Omit<Selectable<ServersTable>, 'id' | 'nextUid' | 'machine'>>;

async function update(trx: Trx, id: string, change: Change): Promise<void> {
  const { numUpdatedRows } = await trx
    .updateTable('servers')
    .set({ ...change, updatedAt: now() })
    .where('id', '=', id)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) throw unknown(id);
}

function unknown(which: string) {
  return failure('NotFound', `There is no server ${which}`, { next: 'chom server list' });
}

function fromRow(row: Selectable<ServersTable>): Server {
  return {
    ...row,
    versions: JSON.parse(row.versions) as Versions,
    tags: JSON.parse(row.tags) as string[],
    protection: row.protection === null ? null : protectionOf(row.protection),
  };
}

/** What was written before one could do without rotation says nothing of it. */
function protectionOf(text: string): Protection {
  return { logrotate: true, ...(JSON.parse(text) as Omit<Protection, 'logrotate'>) };
}
