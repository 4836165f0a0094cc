import { join } from 'node:path';
import { Context } from '@temporalio/activity';
import { runHere } from '../host/here.js';
import type { Output } from '../host/host.js';
import {
  checkRepository,
  listRepository,
  parseListing,
  parseProgress,
  type Listing,
  type Maintenance,
} from '../host/maintenance.js';
import { onDisk, overNetwork, type Reach } from '../host/reach.js';
import { expectRestic } from '../host/restic-output.js';
import type { Script } from '../host/shell.js';
import * as storages from '../inventory/storages.js';
import type { Storage } from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import type { OpenRepository } from './repository-access.js';
import { tellAmount } from './heartbeat.js';
import { fence, JOB_SECONDS, workplace } from './workplace.js';

/** From where a repository is looked into. */
export interface Reader {
  /** Of the server, for messages; of CHOM's own machine `the controller`. */
  readonly name: string;
  /** Where the repository lies, as restic takes it there. */
  readonly at: string;
  /** Looks through it; `readData` as `checkRepository` takes it. Its exit codes. @throws TimedOut */
  check(readData: string | null): Promise<Output>;
  /** All that lies there. Changes and locks nothing. @throws what restic ends with */
  list(): Promise<Listing>;
}

/** From where backups are removed and pruned. */
export interface Keeper extends Reader {
  readonly reach: Reach;
  /** Runs a script that changes nothing. */
  read(script: Script): Promise<Output>;
  /** Runs a change as a job of the step, or follows it; on CHOM's own machine one that died is begun again. */
  job(part: string, change: Maintenance, limitSeconds?: number): Promise<Output>;
}

type Read = (script: Script, limitSeconds: number) => Promise<Output>;

/** More that somebody planted are not read through. */
const MOST_SNAPSHOTS = 20_000;
const LIST_SECONDS = 300;
const CHECK_SECONDS = 3 * 3600;
const CONTROLLER = 'the controller';

/** Opens a repository where it is maintained, for looking. @throws UnsupportedHost as `keeperOf` */
export async function readerOf(deps: Deps, open: OpenRepository): Promise<Reader> {
  const { reach, at, server } = await reached(deps, open, null);
  if (server === null) return reader(open, CONTROLLER, at, reach, here(reach));
  const host = await deps.hosts.for(server);
  const signal = Context.current().cancellationSignal;
  const read: Read = async (script, limitSeconds) => await host.read(script, { limitSeconds, signal });
  return reader(open, host.name, at, reach, read);
}

/**
 * Opens a repository where backups are removed and pruned: never by what a site's own server can do over the network, for
 * whoever breaks into that must not be able to. Of a directory of the server itself, a trial, there is no other place.
 * @throws UnsupportedHost nobody keeps the storage's files, or gets in to delete; NotFound no restic on CHOM's own machine
 */
export async function keeperOf(
  deps: Deps,
  step: StepContext,
  open: OpenRepository,
  { site, server: own }: { site: string; server: string },
): Promise<Keeper> {
  const { reach, at, server } = await reached(deps, open, own);
  if (server !== null) {
    const place = await workplace(deps, step, server, `site/${site}`);
    const read: Read = async (script, limitSeconds) => await place.read(script, { limitSeconds });
    return {
      ...reader(open, place.name, at, reach, read),
      reach,
      read: async (script) => await read(script, LIST_SECONDS),
      job: async (part, change, limitSeconds = JOB_SECONDS) =>
        await place.job(part, { ...change, secrets: reach.secrets, limitSeconds }),
    };
  }
  const run = here(reach, step);
  return {
    ...reader(open, CONTROLLER, at, reach, run),
    reach,
    read: async (script) => await run(script, LIST_SECONDS),
    async job(_part, { check, act }, limitSeconds = JOB_SECONDS) {
      // There is no claim here. A run that somebody took the operation from begins nothing; what it has begun ends with its
      // heartbeat, and restic's own lock keeps the two apart until then.
      await deps.inventory.fenced(fence(step), async () => {});
      const done = check && (await run(check, limitSeconds));
      return done?.exit === 0 ? { ...done, already: true } : await run(act, limitSeconds);
    },
  };
}

/** `server: null`: CHOM's own machine. */
async function reached(
  { keyring, config, restic }: Deps,
  { storage, repository, access }: OpenRepository,
  siteServer: string | null,
): Promise<{ server: string | null; at: string; reach: Reach }> {
  const name = repository.site ?? 'trial';
  const { kind, maintainServer, maintainPath, maintainUrl, url } = storage;
  const kept = (server: string, path: string) => {
    return { server, at: `${path}/${name}`, reach: onDisk({ path, name }, access.password) };
  };
  if (maintainServer !== null && maintainPath !== null) return kept(maintainServer, maintainPath);
  if (maintainUrl !== null) {
    const login = storages.maintenanceLogin(storage, keyring);
    const options = { program: await restic(), cache: join(config.home, 'restic-cache') };
    const reach = overNetwork({ ...access, url: maintainUrl, login }, name, options);
    return { server: null, at: `${maintainUrl}/${name}`, reach };
  }
  if (kind === 'local' && siteServer !== null) return kept(siteServer, url);
  throw unkept(storage);
}

/** Of a step its heartbeats tell how far it is. */
function here({ secrets }: Reach, step?: StepContext): Read {
  const context = Context.current();
  const said = (text: string) => {
    const amount = parseProgress(text);
    if (step && amount) tellAmount(context, { step: step.index, amount });
  };
  return async (script, limitSeconds) =>
    await runHere(script, { secrets, limitSeconds, signal: context.cancellationSignal, said });
}

function reader({ storage }: OpenRepository, name: string, at: string, reach: Reach, read: Read): Reader {
  const page = async (from: number): Promise<Listing> => {
    const output = await read(listRepository(reach, from), LIST_SECONDS);
    const what = `Looking into the repository ${at}`;
    return parseListing(expectRestic(output, { name }, { what, storage: storage.name }).stdout);
  };
  return {
    name,
    at,
    async check(readData) {
      const script = checkRepository(reach, { readData, limitSeconds: CHECK_SECONDS });
      return await read(script, CHECK_SECONDS + 60);
    },
    async list() {
      const listing = await page(0);
      if (listing.total > MOST_SNAPSHOTS) {
        throw failure('RepositorySuspect', `The repository ${at} holds ${listing.total} snapshots`, {
          server: name,
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
    },
  };
}

/** Nothing of it can be removed by CHOM. */
function unkept({ name }: Pick<Storage, 'name'>) {
  return failure('UnsupportedHost', `CHOM cannot remove backups from storage ${name}`, {
    cause: 'neither is an enrolled server named that keeps its files, nor has CHOM a login that may delete there',
    next: `chom storage set ${name} --maintain SERVER:/path, or --maintain controller`,
  });
}
