import type { Host } from '../host/host.js';
import { listOnDisk, parseListing, type Listing, type OnDisk } from '../host/maintenance.js';
import { expectRestic } from '../host/restic-output.js';
import type { Storage } from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import type { OpenRepository } from './repository-access.js';

/** The server on which the files of a repository lie, and where. */
export interface Keeper {
  server: string;
  at: OnDisk;
}

/** More that somebody planted are not read through. */
const MOST_SNAPSHOTS = 20_000;
const LIST_SECONDS = 300;

/**
 * Where backups are removed and pruned: never by what a site's own server can do over the network, for whoever breaks into
 * that must not be able to. Of a directory of the server itself, a trial, there is no other place.
 * @throws UnsupportedHost nobody is named that keeps the storage's files
 */
export function keeperOf({ storage, repository }: OpenRepository, siteServer: string): Keeper {
  const name = repository.site ?? 'trial';
  const { kind, maintainServer, maintainPath, url } = storage;
  if (maintainServer !== null && maintainPath !== null) {
    return { server: maintainServer, at: { path: maintainPath, name } };
  }
  if (kind === 'local') return { server: siteServer, at: { path: url, name } };
  throw unkept(storage);
}

/** Nothing of it can be removed by CHOM. */
function unkept({ name }: Pick<Storage, 'name'>) {
  return failure('UnsupportedHost', `CHOM cannot remove backups from storage ${name}`, {
    cause: 'no enrolled server is named that keeps its files',
    next: `chom storage set ${name} --maintain SERVER:/path`,
  });
}

/** All that lies in a repository. Changes and locks nothing. @throws what restic ends with */
export async function listRepository(
  host: Pick<Host, 'name' | 'read'>,
  { at }: Keeper,
  { storage, access }: OpenRepository,
): Promise<Listing> {
  const page = async (from: number): Promise<Listing> => {
    const output = await host.read(listOnDisk(at, access.password, from), { limitSeconds: LIST_SECONDS });
    const what = `Looking into the repository ${at.path}/${at.name}`;
    return parseListing(expectRestic(output, host, { what, storage: storage.name }).stdout);
  };
  const listing = await page(0);
  if (listing.total > MOST_SNAPSHOTS) {
    throw failure('RepositorySuspect', `The repository ${at.path}/${at.name} holds ${listing.total} snapshots`, {
      server: host.name,
      cause: 'CHOM has not made so many: somebody planted them',
      next: `chom storage show ${storage.name}`,
    });
  }
  while (listing.snapshots.length < listing.total) {
    const { snapshots } = await page(listing.snapshots.length);
    if (snapshots.length === 0) break;
    listing.snapshots.push(...snapshots);
  }
  return listing;
}
