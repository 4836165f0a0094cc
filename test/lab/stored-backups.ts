import { expect } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as sites from '../../src/inventory/sites.js';
import * as storages from '../../src/inventory/storages.js';
import type { Rig } from './rig.js';

/** A snapshot as restic lists it. */
export interface Listed {
  id: string;
  time: string;
  tags: string[];
}

/** What lies in the rig's storage `store`, on `store1`, and what of making it lies elsewhere. */
export function storedBackups(rig: Rig) {
  const { db } = rig.inventory;
  const idOf = async (domain: string) => (await sites.byDomain(db, domain)).id;
  const repositoryOf = async (domain: string) => {
    const { id } = await storages.byName(db, 'default', 'store');
    return await repositories.byId(db, repositories.repositoryId(id, await idOf(domain)));
  };

  /** restic as whoever maintains the storage has it, with the site's password. */
  async function restic(domain: string, ...words: string[]): Promise<string> {
    const repository = await repositoryOf(domain);
    const password = repositories.passwordOf(repository, rig.keyring).toString();
    const command = words.map((word) => `'${word}'`).join(' ');
    const { exit, stdout, stderr } = await rig.lab.store.host.exec(
      `RESTIC_PASSWORD='${password}' restic --no-cache --no-lock -r '${rig.lab.store.maintenance}/${repository.site}' ${command}`,
    );
    if (exit !== 0) throw new Error(stderr);
    return stdout;
  }

  return {
    idOf,
    restic,
    snapshots: async (domain: string) => JSON.parse(await restic(domain, 'snapshots', '--json')) as Listed[],

    /** Everything that a site is on its server, and what of its backups lies there. */
    async siteOf(host: LabHost, domain: string): Promise<string> {
      const id = await idOf(domain);
      const { stdout } =
        await host.exec(`find /srv/chom/${id} -path '*/tmp/*' -prune -o -printf '%p %y %m %u %s\\n' | sort
    mariadb-dump --skip-dump-date ${id} 2>/dev/null | grep -v _transient | sha256sum
    mariadb -N -e "SHOW DATABASES; SELECT user FROM mysql.user"`);
      return stdout;
    },

    /** No process, no unit, no progress and no lock of a backup is left. */
    async nothingLeft(host: LabHost, domain: string): Promise<void> {
      const { stdout } = await host.exec(
        `pgrep -a 'restic|mariadb-dump'; find /run/chom/progress /run/chom/secrets -mindepth 1 2>/dev/null; systemctl list-units --no-legend --plain 'chom-*-act.service'`,
      );
      expect(stdout).toBe('');
      const { restPath, host: store } = rig.lab.store;
      const { site } = await repositoryOf(domain);
      expect((await store.exec(`find ${restPath}/${site}/locks -type f`)).stdout).toBe('');
    },
  };
}
