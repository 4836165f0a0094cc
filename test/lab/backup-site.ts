import { randomInt } from 'node:crypto';
import type { LabHost } from '../../lab/index.js';
import { makeBackup, type BackupLimits, type BackupOrder } from '../../src/host/backup.js';
import { type MadeBackup, readBackup } from '../../src/host/backup-result.js';
import { createDatabase } from '../../src/host/database.js';
import type { Host, Job, Output } from '../../src/host/host.js';
import { placeOf } from '../../src/host/job-unit.js';
import { paths } from '../../src/host/paths.js';
import type { RepositoryAccess } from '../../src/host/restic.js';
import { join, sh, type Script } from '../../src/host/shell.js';
import { createUser } from '../../src/host/user.js';
import { ask, make, run } from './on-host.js';
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
  /** Bare restic on the server; prints its output, or throws. */
  restic(...words: string[]): Promise<string>;
  /** Ids of all snapshots, and how many locks there are. */
  snapshots(): Promise<string[]>;
  locks(): Promise<number>;
  sql(text: string, ...options: string[]): Promise<string>;
}

let made = 0;
const PASSWORD = 'lab';

/** Makes the site: user, directories, database, repository. */
export async function backedUp(machine: LabHost, host: Host, type: BackupOrder['type'] = 'php'): Promise<BackedUp> {
  made += 1;
  const id = Array.from({ length: 9 }, () => 'abcdefghijklmnopqrstuvwxyz234567'[randomInt(32)]).join('');
  const site = `s${id}`;
  const url = `/backups/${site}`;
  const access: RepositoryAccess = { url, password: Buffer.from(PASSWORD), login: null, hostKey: null, ca: null };
  const order = { site, type, domain: `${site}.example.org`, php: null, kind: 'full' as const, database: true };
  await make(machine, createUser({ site, uid: 21_000 + randomInt(30_000) }));
  await make(machine, createDatabase(site));
  const asRoot = (words: readonly string[]): Script =>
    sh`RESTIC_PASSWORD=${PASSWORD} restic --no-cache -r ${url} ${words}`;
  await ask(
    machine,
    sh`[ -e ${paths.restic} ] || { mkdir -p /usr/local/lib/chom && ln -s /usr/bin/restic ${paths.restic}; }
mkdir -p /backups && chmod 700 /backups`,
  );
  await ask(machine, asRoot(['init']));

  function job({ attempt = 'run-1/1', limits = {}, operation, ...change }: Parameters<BackedUp['job']>[0] = {}): Job {
    const base = jobOf({ scope: `site/${site}`, limitSeconds: 600, ...(operation && { root: operation }) });
    const change_ = makeBackup({ ...order, operation: base.operation, ...change }, access, limits);
    return { ...base, attempt, ...change_ };
  }
  const read = (output: Output) => readBackup(output, host, { what: `The backup of ${site}`, storage: 'lab' });
  return {
    ...{ site, order, access, job, read },
    async backUp(change) {
      const output = await host.job(job(change));
      return { ...read(output), already: output.already };
    },
    restic: async (...words) => await ask(machine, asRoot(words)),
    async snapshots() {
      const said = await ask(machine, asRoot(['--no-lock', 'snapshots', '--json']));
      return (JSON.parse(said) as { id: string }[]).map((one) => one.id);
    },
    locks: async () => Number(await ask(machine, sh`find ${`${url}/locks`} -type f | wc -l`)),
    sql: async (text, ...options) => await ask(machine, sh`printf %s ${text} | mariadb -N -B ${options} ${site}`),
  };
}

/** Ends every process of a job at once, as the kernel does that is out of memory. */
export async function killJob(machine: LabHost, job: Job): Promise<void> {
  const { unit } = placeOf(job);
  await ask(machine, sh`systemctl kill -s KILL ${`${unit}-act.service`} ${`${unit}.service`}`);
}

/** Holds a lock on a table of the site until it is let go. */
export async function holdLock(machine: LabHost, site: string, statement: string): Promise<() => Promise<void>> {
  const unit = `hold-${site}-${(made += 1)}`;
  const script = sh`{ printf '%s;\nSELECT 1;\n' ${statement}; exec sleep infinity; } | mariadb --unbuffered -N ${site} >${`/run/${unit}`}`;
  await ask(
    machine,
    sh`systemd-run --quiet --unit=${unit} sh -c ${script.script}
n=0; until [ -s ${`/run/${unit}`} ]; do n=$((n + 1)); [ $n -lt 600 ] || exit 1; sleep 0.1; done`,
  );
  return async () => {
    await ask(machine, sh`systemctl stop ${unit}; rm -f ${`/run/${unit}`}`);
  };
}

/** A file that takes restic some time to read, and the disk none. */
export function slowFile(site: string, gigabytes: number): Script {
  const file = `/srv/chom/${site}/shared/slow`;
  return join([sh`truncate -s ${`${gigabytes}G`} ${file}`, sh`chown ${site}: ${file}`]);
}

/** Whether anything matches on the host. */
export async function holds(machine: LabHost, script: Script): Promise<boolean> {
  return (await run(machine, script)).exit === 0;
}
