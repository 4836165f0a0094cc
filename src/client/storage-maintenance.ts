import type { StorageKind } from '../inventory/schema.js';
import type { StorageLogin } from '../inventory/storage-login.js';
import type { Keeper } from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import type { PrivateKey } from './private-key.js';
import { parseRepository } from './repository-location.js';
import { parseAccessKey, parseLogin, parseMaintain } from './storage-words.js';

/** From where a storage is maintained, as it is asked for. */
export interface Maintenance {
  /** `SERVER:/path`, an enrolled server that keeps the files; or `controller`: over the network, from CHOM's own machine. */
  maintain?: string;
  /** Of the controller: `USER:PASSWORD` of a REST server, `ACCESS_KEY_ID:SECRET_ACCESS_KEY` of S3, which may delete. */
  maintainLogin?: string;
  /** Of the controller over SFTP: the key of a user who may delete. */
  maintainKey?: PrivateKey;
  /** The storage as the controller reaches it, where that is not as servers do. */
  maintainRepository?: string;
}

/** What is known of the storage itself. */
interface Maintained {
  kind: StorageKind;
  url: string;
  /** Each site has a login of its own there. */
  perSite: boolean;
}

/** The word that names CHOM's own machine. */
const CONTROLLER = 'controller';

/** Whether that is by what CHOM's own machine maintains it. */
export function byController({ maintain }: Maintenance): boolean {
  return maintain === CONTROLLER;
}

/**
 * From where a storage is to be maintained; a server goes by its name. Null: nothing is said.
 * @throws InvalidInput nothing of a login is in the failure
 */
export function parseMaintenance(of: Maintained, wanted: Maintenance): Keeper | null {
  const { maintain, maintainLogin, maintainKey, maintainRepository } = wanted;
  if (maintain !== CONTROLLER) {
    const [option] =
      Object.entries({ maintainLogin, maintainKey, maintainRepository }).find(([, value]) => value) ?? [];
    if (option === undefined) return maintain === undefined ? null : parseMaintain(maintain);
    throw failure(
      'InvalidInput',
      `--${option.replace('maintain', 'maintain-').toLowerCase()} is for --maintain controller`,
      {
        cause: 'on the server that keeps the files CHOM acts as whoever owns them',
      },
    );
  }
  const { kind, perSite, url } = of;
  if (kind === 'local') {
    throw failure('InvalidInput', 'The directory of a server is not reached from CHOM’s own machine', {
      next: 'leave --maintain out',
    });
  }
  if (perSite) {
    throw failure('InvalidInput', 'Each site has a login of its own there, which only an enrolled server can make', {
      cause: 'nobody else writes its files',
      next: '--maintain SERVER:/path; or, with one login for all sites, --login FILE',
    });
  }
  return { url: placeOf(of, maintainRepository) ?? url, login: loginOf(kind, { maintainLogin, maintainKey }) };
}

function loginOf(
  kind: 'sftp' | 'rest' | 's3',
  { maintainLogin, maintainKey }: { maintainLogin: string | undefined; maintainKey: PrivateKey | undefined },
): StorageLogin {
  if (kind === 'sftp' && maintainLogin === undefined && maintainKey !== undefined) {
    return { kind, privateKey: maintainKey.secret.toString(), public: maintainKey.public };
  }
  if (kind !== 'sftp' && maintainKey === undefined && maintainLogin !== undefined) {
    return kind === 's3' ? parseAccessKey(maintainLogin) : parseLogin(maintainLogin);
  }
  throw failure('InvalidInput', 'Nothing says with which login CHOM’s own machine gets in to delete', {
    cause: 'that is another one than what servers have: whoever breaks into one must not be able to delete',
    next:
      kind === 'sftp'
        ? 'add --maintain-key FILE, a private SSH key, and nothing else'
        : `add --maintain-login FILE, which holds one line ${kind === 's3' ? 'ACCESS_KEY_ID:SECRET_ACCESS_KEY' : 'USER:PASSWORD'}`,
  });
}

/** Of SFTP on the same host, whose key is pinned. */
function placeOf({ kind, url }: Maintained, text: string | undefined): string | null {
  if (text === undefined) return null;
  const place = parseRepository(text);
  const host = (of: string) => new URL(of).host;
  if (place.kind === kind && (kind !== 'sftp' || host(place.url) === host(url))) return place.url;
  throw failure('InvalidInput', `--maintain-repository names another storage than ${url}`, {
    cause: kind === 'sftp' ? 'of SFTP it is on the same host and port, with another user or path' : `it is not ${kind}`,
  });
}
