import * as servers from '../inventory/servers.js';
import type { Server } from '../inventory/servers.js';
import type { Storage } from '../inventory/storages.js';
import * as storages from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import type { Report } from '../workflows/inspection.js';
import { storagePlan } from '../workflows/plans.js';
import type { ReadData } from '../workflows/storage-questions.js';
import { askFor, type Asking } from './ask-for.js';
import { askWorker } from './inspect.js';
import { parseServerName, parseStorageName } from './names.js';
import type { Chom } from './open.js';

/** Reading through large repositories takes its time. */
const LOOK_MS = 12 * 60 * 60_000;

/**
 * Asks for a storage to be tried: by the server that keeps it, else by `from`, else by any of the tenant's.
 * @throws InvalidInput `from` is not the server that keeps it; NotFound; Conflict there is no server to try it from; Forbidden its server is another tenant's; Busy
 */
export async function checkStorage(
  chom: Chom,
  name: string,
  { from, wait = true, operation: id }: Asking & { from?: string } = {},
): Promise<{ operation: string; storage: Storage }> {
  const { inventory, tenant } = chom;
  const storage = await storages.byName(inventory.db, tenant, parseStorageName(name));
  const server = await serverToTryFrom(chom, storage, from);
  const plan = { tenant, server: server.id, serverName: server.name, storage: storage.id, storageName: storage.name };
  const operation = await askFor(
    chom,
    {
      kind: 'check-storage',
      input: storagePlan.parse(plan),
      summary: `Check storage ${storage.name}`,
      tenant,
      server: server.id,
      serverName: server.name,
      exclusive: true,
      wait,
    },
    id,
  );
  return { operation, storage };
}

/**
 * Has a worker look through the repositories from where they are maintained, and read a part of their data.
 * @throws NoWorker; TemporalUnavailable
 */
export async function lookThroughStorage(
  chom: Chom,
  { id, name }: Storage,
  readData: ReadData = null,
): Promise<Report> {
  const summary = `Look through the repositories of storage ${name}`;
  return await askWorker<Report>(chom, {
    type: 'checkRepositories',
    args: [id, { readData }],
    summary,
    limitMs: LOOK_MS,
  });
}

async function serverToTryFrom({ inventory, tenant }: Chom, storage: Storage, from?: string): Promise<Server> {
  const { name, maintainServer } = storage;
  if (maintainServer !== null) {
    const keeper = await servers.byId(inventory.db, maintainServer);
    if (keeper.tenant !== tenant) {
      throw failure('Forbidden', `Storage ${name} is kept by a server of another tenant, who checks it`);
    }
    if (from === undefined || from === keeper.name) return keeper;
    throw failure('InvalidInput', `Storage ${name} is tried from ${keeper.name}, which keeps it`, {
      next: 'leave --from out',
    });
  }
  if (from !== undefined) return await servers.byName(inventory.db, tenant, parseServerName(from));
  const any = (await servers.list(inventory.db, { tenant })).find(({ status }) => status === 'active');
  if (any) return any;
  throw failure('Conflict', `There is no server to try storage ${name} from`, {
    next: 'chom server add NAME --host ADDRESS --key FILE',
  });
}
