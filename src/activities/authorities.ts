import type { Config } from '../config.js';
import { failure } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';
import { directoryUrl } from './acme-directory.js';
import type { Authority, Binding, openAuthority } from './authority.js';

/** The authorities that CHOM is set up for, each opened when it is first needed. */
export interface Authorities {
  /** @throws InvalidInput it is not set up, or its CA file cannot be read */
  get(fallback: boolean): Promise<Authority>;
  /** The one of a directory URL; null where CHOM is not set up for it (any more). */
  of(directory: string): Promise<Authority | null>;
}

type Settings = Pick<Config, 'acmeDirectory' | 'acmeFallbackDirectory'> & Partial<Config>;

export function authorities(config: Settings): Authorities {
  const opened = new Map<boolean, Promise<Authority>>();
  const setting = (fallback: boolean) =>
    fallback
      ? {
          ...{ directory: config.acmeFallbackDirectory, caFile: config.acmeFallbackCaFile ?? null },
          prefix: 'CHOM_ACME_FALLBACK',
          binding: bindingOf(config.acmeFallbackEabKid, config.acmeFallbackEabSecret),
        }
      : {
          ...{ directory: config.acmeDirectory, caFile: config.acmeCaFile ?? null },
          prefix: 'CHOM_ACME',
          binding: bindingOf(config.acmeEabKid, config.acmeEabSecret),
        };

  async function get(fallback: boolean): Promise<Authority> {
    const { directory, caFile, prefix, binding } = setting(fallback);
    const next = `set ${prefix}_DIRECTORY and ${prefix}_CA_FILE, and start the worker again`;
    if (directory === undefined) throw failure('InvalidInput', 'There is no second certificate authority', { next });
    const opening = opened.get(fallback) ?? open({ directory, caFile, prefix, binding });
    opened.set(fallback, opening);
    try {
      return await opening;
    } catch (error) {
      opened.delete(fallback);
      throw failure('InvalidInput', 'The certificate authority is not set up', { cause: messageOf(error), next });
    }
  }

  return {
    get,
    async of(directory) {
      for (const fallback of [false, true]) {
        const { directory: known } = setting(fallback);
        if (known !== undefined && directoryUrl(known) === directory) return await get(fallback);
      }
      return null;
    },
  };
}

/** What speaks ACME is much to load, and most of a worker's lives need none of it. */
async function open(setting: Parameters<typeof openAuthority>[0]): Promise<Authority> {
  const { openAuthority } = await import('./authority.js');
  return await openAuthority(setting);
}

/** Settings that name one without the other are refused when they are read. */
function bindingOf(kid: string | undefined, hmacKey: string | undefined): Binding | null {
  return kid !== undefined && hmacKey !== undefined ? { kid, hmacKey } : null;
}
