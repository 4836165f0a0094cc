import { createHash } from 'node:crypto';
import { failure } from '../workflows/failures.js';
import type { Trx } from './database.js';
import type { ServerStatus } from './schema.js';
import * as servers from './servers.js';

/** The same machine under another name. */
export interface Twin {
  name: string;
  address: string;
  status: ServerStatus;
  /** To another tenant it is nobody's business. */
  foreign: boolean;
}

/**
 * Notes which machine a server is, by its `/etc/machine-id` and the host key that is pinned for it; null when nobody else
 * is it. Both together are one machine: copies of an image may share either. The machine id itself is not kept:
 * machine-id(5) calls it confidential. Otherwise the one that it is, enrolled or being enrolled; a server that was not
 * enrolled itself then loses its pin, so that by its name nobody gets in there, not to take CHOM away either.
 */
export async function identify(trx: Trx, id: string, machineId: string): Promise<Twin | null> {
  const { tenant, name, hostKeyFingerprint, status } = await servers.byId(trx, id);
  if (hostKeyFingerprint === null) {
    throw failure('HostKeyUnconfirmed', `The host key of server ${name} is not pinned`, { server: name });
  }
  const machine = createHash('sha256').update(`chom machine ${machineId}`).digest('hex');
  // Its own row is among them: of two that are enrolled at once, one sees the other.
  const alike = await trx
    .selectFrom('servers')
    .select(['id', 'tenant', 'name', 'status', 'address', 'machine'])
    .where('hostKeyFingerprint', '=', hostKeyFingerprint)
    .where('status', 'in', ['enrolling', 'active'])
    .orderBy('id')
    .forUpdate()
    .execute();
  const twins = alike.filter((one) => one.id !== id && one.machine === machine);
  // One that is enrolled is not kept from being put right by one that is not yet: that one is refused.
  const twin = twins.find((one) => one.status === 'active' || status !== 'active');
  const own = trx.updateTable('servers').where('id', '=', id);
  if (!twin) {
    await own.set({ machine }).execute();
    return null;
  }
  if (status !== 'active') await own.set({ hostKey: null, hostKeyFingerprint: null }).execute();
  return { name: twin.name, address: twin.address, status: twin.status, foreign: twin.tenant !== tenant };
}
