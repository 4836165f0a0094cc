import { randomInt } from 'node:crypto';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { type BackupProgress, parseProgress, readProgress } from '../../src/host/backup-progress.js';
import { makeBackup, type BackupLimits, type BackupOrder } from '../../src/host/backup.js';
import { type MadeBackup, readBackup } from '../../src/host/backup-result.js';
import { createDatabase } from '../../src/host/database.js';
import { expectOk } from '../../src/host/exit.js';
import type { Host, Job, Output } from '../../src/host/host.js';
import { placeOf } from '../../src/host/job-unit.js';
import { paths } from '../../src/host/paths.js';
import { type RepositoryAccess, resticCredentials } from '../../src/host/restic.js';
import { useDistributionRestic, usePinnedRestic } from '../../src/host/restic-install.js';
import { initRepository } from '../../src/host/restic-repository.js';
import { join, sh, type Script } from '../../src/host/shell.js';
import { createUser } from '../../src/host/user.js';
import { ask, make } from './on-host.js';
import { jobOf } from './reach.js';

/** A site whose backups go into a directory of its own server. */
export interface BackedUp {
  site: string;
  order: Omit<BackupOrder, 'operation'>;
  access: RepositoryAccess;
  /** A job of a backup; given `operation` and `attempt`, another try of the same. */
  job(change?: Partial<BackupOrder> & { attempt?: string; limits?: Partial<BackupLimits> }): Job;
  /** Runs it to its end. Throws the failure that an activity would. */
  backUp(change?: Parameters<BackedUp['job']>[0]): Promise<MadeBackup & { already: boolean }>;
  read(output: Output): MadeBackup;
  /** Bare restic where the repository lies; prints its output, or throws. */
  restic(...words: string[]): Promise<string>;
  /** Ids of all snapshots, and how many locks there are. */
  snapshots(): Promise<string[]>;
  locks(): Promise<number>;
  sql(text: string, ...options: string[]): Promise<string>;
}

/** Where the repository of a site lies, and the machine that keeps its files. */
export interface Kept {
  access: RepositoryAccess;
  keeper: LabHost;
  path: string;
}

let made = 0;
const PASSWORD = 'lab';

/** The restic that CHOM uses, as enrolment gives it; `pinned` where the distribution's is too old. */
export async function giveRestic(machine: LabHost, pinned: { url: string; sha256: string } | null): Promise<void> {
  const file = '/root/restic';
  if (pinned) await ask(machine, sh`curl -sf -o ${file} ${pinned.url}`);
  await make(machine, pinned ? usePinnedRestic({ file, sha256: pinned.sha256 }) : useDistributionRestic());
}

/** The name of a new site. */
export function newSite(): string {
  return `s${Array.from({ length: 9 }, () => 'abcdefghijklmnopqrstuvwxyz234567'[randomInt(32)]).join('')}`;
}

/** Makes the site: user, directories, database, repository; in a directory of its server unless `kept` says where. */
export async function backedUp(
  machine: LabHost,
  host: Host,
  { site = newSite(), type = 'php', kept }: { site?: string; type?: BackupOrder['type']; kept?: Kept } = {},
): Promise<BackedUp> {
  const local = { url: `/backups/${site}`, password: Buffer.from(PASSWORD), login: null, hostKey: null, ca: null };
  const { access, keeper, path } = kept ?? { access: local, keeper: machine, path: local.url };
  const order = { site, type, domain: `${site}.example.org`, php: null, kind: 'full' as const, database: true };
  await make(machine, createUser({ site, uid: 21_000 + randomInt(30_000) }));
  await make(machine, createDatabase(site));
  if (!kept) await ask(machine, sh`mkdir -p /backups && chmod 700 /backups`);
  const init = { ...initRepository(access), secrets: resticCredentials(access) };
  expectOk(await host.job({ ...jobOf({ scope: `site/${site}` }), ...init }), host, 'Making the repository');
  const asRoot = (words: readonly string[]): Script =>
    sh`RESTIC_PASSWORD=${PASSWORD} ${paths.restic} --no-cache -r ${path} ${words}`;

  function job({ attempt = 'run-1/1', limits = {}, operation, ...change }: Parameters<BackedUp['job']>[0] = {}): Job {
    const base = jobOf({ scope: `site/${site}`, limitSeconds: 600, ...(operation && { root: operation }) });
    return { ...base, attempt, ...makeBackup({ ...order, operation: base.operation, ...change }, access, limits) };
  }
  const read = (output: Output) => readBackup(output, host, { what: `The backup of ${site}`, storage: 'lab' });
  return {
    ...{ site, order, access, job, read },
    async backUp(change) {
      const output = await host.job(job(change));
      return { ...read(output), already: output.already };
    },
    restic: async (...words) => await ask(keeper, asRoot(words)),
    async snapshots() {
      const said = await ask(keeper, asRoot(['--no-lock', 'snapshots', '--json']));
      return (JSON.parse(said) as { id: string }[]).map((one) => one.id);
    },
    locks: async () => Number(await ask(keeper, sh`find ${`${path}/locks`} -type f | wc -l`)),
    sql: async (text, ...options) => await ask(machine, sh`printf %s ${text} | mariadb -N -B ${options} ${site}`),
  };
}

/** Ends every process of a job at once, as the kernel does that is out of memory. */
export async function killJob(machine: LabHost, job: Job): Promise<void> {
  const { unit } = placeOf(job);
  await ask(machine, sh`systemctl kill -s KILL ${`${unit}-act.service`} ${`${unit}.service`}`);
}

/** Does something while another session of the database holds a lock. */
export async function whileLocked<T>(
  machine: LabHost,
  site: string,
  statement: string,
  act: () => Promise<T>,
): Promise<T> {
  const unit = `hold-${site}-${(made += 1)}`;
  const script = sh`{ printf '%s;\nSELECT 1;\n' ${statement}; exec sleep infinity; } | mariadb --unbuffered -N ${site} >${`/run/${unit}`}`;
  await ask(
    machine,
    sh`systemd-run --quiet --unit=${unit} sh -c ${script.script}
n=0; until [ -s ${`/run/${unit}`} ]; do n=$((n + 1)); [ $n -lt 600 ] || exit 1; sleep 0.1; done`,
  );
  try {
    return await act();
  } finally {
    await ask(machine, sh`systemctl stop ${unit}; rm -f ${`/run/${unit}`}`);
  }
}

/** Waits until the dump of a site waits for a lock. */
export async function isHeld(machine: LabHost, { site }: Pick<BackedUp, 'site'>): Promise<void> {
  const waits = `SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = '${site}' AND STATE LIKE 'Waiting for%'`;
  await poll('the dump waits', 120_000, async () => (await ask(machine, sh`mariadb -N -e ${waits}`)) === '1\n');
}

/** A file that takes restic some time to read, and the disk none. */
export function slowFile(site: string, gigabytes: number): Script {
  const file = `/srv/chom/${site}/shared/slow`;
  return join([sh`truncate -s ${`${gigabytes}G`} ${file}`, sh`chown ${site}: ${file}`]);
}

/** Waits until a backup is at that phase, and has begun it. */
export async function reaches(machine: LabHost, { operation }: Job, phase: BackupProgress['phase']): Promise<void> {
  await poll(`${operation} is at ${phase}`, 240_000, async () => {
    return parseProgress(await ask(machine, readProgress(operation)))?.phase === phase;
  });
}
