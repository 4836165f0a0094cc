import { afterAll, beforeAll, expect } from 'vitest';
import { type DebianRelease, type Lab, type LabHost, startLab } from '../../lab/index.js';
import { stopSite } from '../../src/host/close-site.js';
import type { Host } from '../../src/host/host.js';
import { publishSite } from '../../src/host/nginx-site.js';
import { startPhp } from '../../src/host/php-fpm.js';
import { importDatabase } from '../../src/host/restore-database.js';
import { stageFiles } from '../../src/host/restore-files.js';
import { fetchManifest, type RestoreChange } from '../../src/host/restore-manifest.js';
import type { SwitchOrder } from '../../src/host/restore-switch.js';
import { sh, type Script } from '../../src/host/shell.js';
import { AWKWARD } from './awkward-database.js';
import { giveRestic } from './backup-site.js';
import { ask, type ReadyHost, ready } from './on-host.js';
import { reach } from './reach.js';
import { restoredSite, type RestoredSite } from './restored-site.js';

export type BackedUp = Awaited<ReturnType<RestoredSite['backUp']>>;

/** Some 30 deaths of each kind, one after the other. */
export const LONG = { timeout: 2_700_000 };

/** For one test file: a host, its end, and what a restore is made of, each step run as the product runs it. */
export function restoreHost(debian: DebianRelease = 13) {
  const held: { lab?: Lab; hosts?: ReturnType<typeof reach>; host?: Host; prepared?: ReadyHost } = {};
  beforeAll(async () => {
    held.lab = await startLab({ hosts: [{ name: 'web1', debian }] });
    held.hosts = reach(held.lab.hosts);
    held.host = await held.hosts.for('web1');
    held.prepared = await ready(machine());
    await giveRestic(machine(), held.lab.restic);
  });
  afterAll(async () => {
    await held.hosts?.close();
    await held.lab?.down();
  });

  const machine = (): LabHost => held.lab?.host('web1') ?? notYet();
  const host = (): Host => held.host ?? notYet();
  const prepared = (): ReadyHost => held.prepared ?? notYet();
  const onHost = async (script: Script): Promise<string> => await ask(machine(), script);

  /** Runs it, and sees that it succeeded and that its own check says so. */
  async function done(site: RestoredSite, change: RestoreChange): Promise<string> {
    const { exit, stdout, stderr } = await site.run(change);
    expect({ exit, stderr: exit === 0 ? '' : stderr }).toEqual({ exit: 0, stderr: '' });
    expect(await site.run(change)).toMatchObject({ exit: 0, already: true });
    return stdout;
  }

  return {
    machine,
    host,
    prepared,
    onHost,
    done,
    newSite: async (): Promise<RestoredSite> => await restoredSite(prepared(), host()),

    async stage(site: RestoredSite, { order, facts }: BackedUp): Promise<void> {
      await done(site, fetchManifest(order, site.access));
      await done(site, stageFiles(order, facts, site.access));
      await done(site, importDatabase(order, facts.database!, site.access));
    },

    async close(site: RestoredSite): Promise<void> {
      await done(site, publishSite({ ...site.page, maintenance: true }, prepared().facts));
      await done(site, stopSite(site.site));
    },

    async open(site: RestoredSite): Promise<void> {
      await done(site, startPhp(site.php));
      await done(site, publishSite(site.page, prepared().facts));
    },

    visit: async ({ domain }: RestoredSite): Promise<string> =>
      (await machine().exec(`curl -s -m 30 -o - -w ' %{http_code}' -H 'Host: ${domain}' http://127.0.0.1/`)).stdout,

    /** What is left of restores on the host, beside what is noted of backups that are switched to. */
    leftovers: async (site: string): Promise<string> =>
      await onHost(
        sh`ls -A ${`/srv/chom/${site}`} | grep -v -x -e app -e shared -e tmp
mariadb -N -B -e ${`SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '${site}-%' UNION ALL SELECT User FROM mysql.global_priv WHERE User LIKE '${site}-%'`}
ls ${`/var/lib/chom/restores/${site}`} 2>/dev/null
true`,
      ),
  };
}

export function switching({ order, facts }: BackedUp): SwitchOrder {
  const { charset, collation } = facts.database!;
  return { site: order.site, operation: order.operation, files: true, database: { charset, collation } };
}

/** A database with everything in it that a restore could lose. */
export const awkward = async (site: RestoredSite): Promise<string> =>
  await site.sql(AWKWARD, `--init-command=SET sql_mode = 'ANSI_QUOTES'`, '--default-character-set=utf8mb4');

function notYet(): never {
  throw new Error('the host is not up yet');
}
