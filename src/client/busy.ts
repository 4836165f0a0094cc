import type { Db } from '../inventory/database.js';
import * as places from '../inventory/places.js';
import { failure } from '../workflows/failures.js';

/** Where an operation would work. */
export interface Target {
  server: string;
  serverName: string;
  /** Alone on the server. */
  exclusive?: boolean;
}

/**
 * Refuses what would find the server taken, before anything is kept for it. Submitting decides it once more.
 * @throws Busy naming the holder
 */
export async function refuseBusy(db: Db, { server, serverName, exclusive = false }: Target): Promise<void> {
  const taken = (await places.list(db, { server })).find(
    (place) => place.state === 'running' && (exclusive || place.exclusive === 1),
  );
  if (!taken) return;
  throw failure(
    'Busy',
    `Server ${serverName} is busy: operation ${taken.root} has been at work there since ${taken.since}`,
    {
      server: serverName,
      holder: taken.root,
      cause: 'one operation at a time works on a site, and enrolling a server wants it alone',
      next: `chom op watch ${taken.root}`,
    },
  );
}
