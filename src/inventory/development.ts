import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { failure } from '../workflows/failures.js';
import { describeFault, isFault } from './faults.js';

/** Of the advisory lock: with the schema it makes one for each inventory of a database. */
const LOCK = 0x63_68_6f_6d;

const LOCKED = `select pg_try_advisory_lock(${LOCK}, hashtext(current_schema())) as mine`;
const HOLDER = `select host(client_addr) as address, backend_start as since from pg_locks join pg_stat_activity using (pid)
where locktype = 'advisory' and classid = ${LOCK} and objid = hashtext(current_schema())::oid and granted
and database = (select oid from pg_database where datname = current_database())`;

/** A `chom dev` with a Temporal of its own has the inventory for itself as long as it holds this. */
export interface Development {
  /** Rejects when another one has it: this one was cut off from the database meanwhile. Never resolves. */
  readonly lost: Promise<never>;
  release(): Promise<void>;
}

/**
 * Takes an inventory on PostgreSQL for a `chom dev` with a Temporal of its own. Two of them, each on its machine, call their
 * Temporals alike (127.0.0.1:7233), so that each would take the other's operations for dead ones and settle them. It is
 * PostgreSQL's session that holds it: it ends with the process, and with its machine when PostgreSQL has missed that for a minute.
 * @throws Conflict another one has it; InventoryUnavailable
 */
export async function developAlone(url: string): Promise<Development> {
  const held = { released: false };
  let client = await take(url);
  const keep = async (): Promise<never> => {
    for (;;) {
      await new Promise<void>((resolve) => client.once('end', resolve));
      while (!held.released) {
        try {
          client = await take(url);
          if (held.released) await client.end();
          break;
        } catch (error) {
          if ((error as { type?: string }).type === 'Conflict') throw error;
          await sleep(1000, undefined, { ref: false });
        }
      }
      if (held.released) return await new Promise<never>(() => {});
    }
  };
  const lost = keep();
  // Whoever waits for it is told; nobody has to.
  lost.catch(() => undefined);
  return {
    lost,
    async release() {
      held.released = true;
      await client.end().catch(() => undefined);
    },
  };
}

async function take(url: string): Promise<Client> {
  const client = new Client({
    connectionString: url,
    application_name: 'chom dev',
    connectionTimeoutMillis: 5000,
    keepAlive: true,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    // By this PostgreSQL notices that our machine is gone; of a socket on the same machine it means nothing.
    for (const [name, value] of [
      ['tcp_keepalives_idle', 20],
      ['tcp_keepalives_interval', 10],
      ['tcp_keepalives_count', 4],
    ])
      await client.query(`set ${name} = ${value}`);
    const [first] = (await client.query<{ mine: boolean }>(LOCKED)).rows;
    if (first?.mine === true) return client;
    const [holder] = (await client.query<{ address: string | null; since: Date }>(HOLDER)).rows;
    await client.end();
    throw taken(holder);
  } catch (error) {
    await client.end().catch(() => undefined);
    if (!isFault(error)) throw error;
    throw failure('InventoryUnavailable', 'The inventory cannot be reached', { cause: describeFault(error) });
  }
}

function taken(holder: { address: string | null; since: Date } | undefined) {
  const where = holder?.address ?? 'this machine';
  const since = holder ? `, since ${holder.since.toISOString()}` : '';
  return failure('Conflict', 'Another chom dev works with this database', {
    cause: `it runs on ${where}${since}, with a Temporal of its own; the two would take each other's operations for dead ones`,
    next: 'end that one; or, to work on several machines, run one Temporal for all: TEMPORAL_ADDRESS=HOST:7233 chom worker',
  });
}
