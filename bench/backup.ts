import { createBackup } from '../src/client/new-backup.js';
import { restoreBackup } from '../src/client/new-restore.js';
import { watch } from '../src/client/watch.js';
import type { Connection } from '../src/host/connection.js';
import { paths } from '../src/host/paths.js';
import { sh, type Script } from '../src/host/shell.js';
import * as backups from '../src/inventory/backups.js';
import * as sites from '../src/inventory/sites.js';
import { resident, workerProcess } from './memory.js';
import { profile } from './profile.js';
import { heading, say, tell } from './report.js';
import { takeTurns } from './rounds.js';
import { openConnection } from './script.js';
import { SERVER, type Setting } from './setting.js';

/** What of a site is backed up. */
interface Load {
  domain: string;
  files: number;
  bytesOfEach: number;
  rows: number;
  /** Of each row's text; 96 where it is not said. */
  bytesOfRow?: number;
}

const KEPT = '/srv/backups';
const BARE = '/srv/bare';
const TEXT_BYTES = 96;
const AIM = 1.15;
const RESTORE_AIM = 1.3;

/** Full backups of a site that was backed up before: a WordPress’s files, and a database of 200 000 rows. */
export async function compareBackups(setting: Setting, rounds: number): Promise<void> {
  await compare(setting, rounds, { domain: 'backup.bench.test', files: 1196, bytesOfEach: 17_500, rows: 200_000 });
}

/** Ten thousand small files, a gigabyte of files, and a table of two. */
export async function compareLargeBackups(setting: Setting, rounds: number): Promise<void> {
  const few = Math.min(rounds, 3);
  await compare(setting, few, { domain: 'many.bench.test', files: 10_000, bytesOfEach: 2000, rows: 1000 });
  await compare(setting, few, { domain: 'large.bench.test', files: 1024, bytesOfEach: 1 << 20, rows: 1000 });
  await compare(setting, 1, {
    domain: 'table.bench.test',
    files: 10,
    bytesOfEach: 2000,
    rows: 65_536,
    bytesOfRow: 1 << 15,
  });
}

/**
 * Beside bare restic, which does the same (the dump by --stdin-from-command, the same directories) and reads nothing back.
 * The repositories are directories of the host itself: over a network what is fixed would weigh less. Between two turns one
 * file and one row change.
 */
async function compare(setting: Setting, rounds: number, of: Load): Promise<void> {
  const { files, bytesOfEach, rows, bytesOfRow = TEXT_BYTES, domain } = of;
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(0);
  const table = `${rows} rows of ${megabytes(rows * bytesOfRow)} MB`;
  heading(`A full backup after the first: ${files} files of ${megabytes(files * bytesOfEach)} MB in all, ${table}`);
  const connection = await openConnection(setting);
  try {
    const site = await makeSite(setting, connection, of);
    const change = async () => await run(connection, changeSomething(site));
    const throughChom = async () => {
      const { operation } = await createBackup(setting.chom, { domain, storage: 'bench' });
      await setting.succeeded(operation);
    };
    const timed = await takeTurns(rounds, [
      { name: 'CHOM', prepare: change, once: throughChom },
      { name: 'bare restic', prepare: change, once: async () => await run(connection, bareRestic(site)) },
    ]);
    tell(timed, [{ other: 'bare restic', atMost: AIM }]);
    await lookInside(connection, throughChom);
    await compareRestores(setting, connection, Math.min(rounds, 3), { site, of });
    heading('Where one such backup spends its time, in ms');
    await profile(setting, rounds, async () => {
      await change();
      return await createBackup(setting.chom, { domain, storage: 'bench' });
    });
  } finally {
    await connection.close();
  }
}

/**
 * The newest backup into its own site, without a backup of what is there; bare restic puts it beside the site and compares
 * nothing.
 */
async function compareRestores(
  setting: Setting,
  connection: Connection,
  rounds: number,
  { site, of }: { site: string; of: Load },
): Promise<void> {
  heading(`The restore of ${of.domain}`);
  const [newest] = await backups.list(setting.chom.inventory.db, { site });
  if (!newest) throw new Error('there is no backup to restore');
  const wanted = { backup: newest.id, safetyBackup: false, undoHours: 1 };
  // A restore without a backup of what was there says so: a warning.
  const succeeded = async (operation: string) => {
    const { operation: ended } = await watch(setting.chom, operation);
    if (ended.outcome !== 'succeeded') throw new Error(`${operation} ${ended.outcome}: ${ended.reason}`);
  };
  const throughChom = async () => await succeeded((await restoreBackup(setting.chom, wanted)).operation);
  const clear = async () => await run(connection, sh`rm -rf /srv/restored`);
  const timed = await takeTurns(rounds, [
    { name: 'CHOM', once: throughChom },
    { name: 'bare restic', prepare: clear, once: async () => await run(connection, bareRestore(site)) },
  ]);
  tell(timed, [{ other: 'bare restic', atMost: RESTORE_AIM }]);
  heading('Where one such restore spends its time, in ms');
  await profile({ ...setting, succeeded }, rounds, async () => await restoreBackup(setting.chom, wanted));
}

function bareRestore(site: string): Script {
  const restic = sh`RESTIC_PASSWORD=bench ${paths.restic} -q --cache-dir /var/cache/bare -r ${`${BARE}/${site}`}`;
  return sh`set -e
${restic} restore latest --path ${`${paths.root(site)}/app`} --target /srv/restored
mariadb -e 'CREATE OR REPLACE DATABASE bench_restored'
${restic} dump latest --path /database.sql /database.sql | mariadb bench_restored`;
}

async function makeSite({ rig, chom }: Setting, connection: Connection, of: Load): Promise<string> {
  const { inventory, tenant } = chom;
  await run(connection, sh`install -d -m 0700 ${KEPT} ${BARE}`);
  const added = await rig.chom('storage', 'add', 'bench', '--repository', KEPT);
  if (added.exit !== 0 && !added.stderr.includes('There is a storage bench')) throw new Error(added.stderr);
  await rig.chom.must('site', 'create', of.domain, '--server', SERVER, '--type', 'php', '--database', '--no-tls');
  const { id } = await sites.byDomain(inventory.db, of.domain, { tenant });
  await run(connection, fill(id, of));
  return id;
}

function fill(site: string, { files, bytesOfEach, rows, bytesOfRow = TEXT_BYTES }: Load): Script {
  const values = `SELECT seq, md5(seq), repeat(md5(seq + 1), ${bytesOfRow / 32}), now() FROM seq_1_to_${rows}`;
  const sql = `CREATE TABLE post (id INT PRIMARY KEY, name CHAR(32), body MEDIUMTEXT, at DATETIME, INDEX (name));
    INSERT INTO post ${values};`;
  return sh`set -e
cd ${`${paths.root(site)}/app`}
n=0
while [ $n -lt ${files} ]; do
  [ $((n % 100)) -ne 0 ] || mkdir "d$((n / 100))"
  head -c ${bytesOfEach} /dev/urandom >"d$((n / 100))/f$n"
  n=$((n + 1))
done
chown -R ${site}:www-data .
mariadb ${site} -e ${sql}
RESTIC_PASSWORD=bench ${paths.restic} -r ${`${BARE}/${site}`} init >/dev/null`;
}

function changeSomething(site: string): Script {
  return sh`date +%s.%N >${`${paths.root(site)}/app/d0/f0`}
mariadb ${site} -e 'UPDATE post SET at = now(), name = md5(rand()) WHERE id = 1'`;
}

function bareRestic(site: string): Script {
  const restic = sh`RESTIC_PASSWORD=bench ${paths.restic} -q --cache-dir /var/cache/bare -r ${`${BARE}/${site}`} backup`;
  const root = paths.root(site);
  return sh`set -e
${restic} --stdin-filename database.sql --stdin-from-command -- mariadb-dump --single-transaction --skip-dump-date ${site}
${restic} ${[`${root}/app`, `${root}/shared`]}`;
}

/**
 * What the host does in one backup, looked at each tenth of a second: how long each run of restic lives, and how much memory all
 * processes of the unit hold at most; and the worker's.
 */
async function lookInside(connection: Connection, backUp: () => Promise<void>): Promise<void> {
  const worker = await workerProcess();
  const [stop, seen, now] = ['/run/bench-stop', '/run/bench-seen', '/run/bench-now'];
  const watching = connection.run({
    script: sh`rm -f ${stop} ${seen}
most=0
while [ ! -e ${stop} ]; do
  ps -ww -eo rss=,cgroup=,args= | grep '/chom-' >${now}
  held=$(awk '{ sum += $1 } END { print sum + 0 }' ${now})
  [ "$held" -le $most ] || most=$held
  # Who watches a run has the same words.
  grep -v -e 'watcher\.pl' -e 'timeout --signal' ${now} | grep -o 'restic --json .*' |
    sed -n 's/.* \(backup\|dump\|ls\|snapshots\|unlock\) .*role=\([a-z]*\) .*/\1 \2/p; t; s/.* \(dump\) .* \(.*\)/\1 \2/p; t; s/.* \(ls\|snapshots\|unlock\)\( .*\|$\)/\1/p' >>${seen}
  sleep 0.1
done
echo $((most / 1024))
uniq -c ${seen}`,
    limitSeconds: 3600,
  });
  const before = await resident(worker, 'VmRSS');
  await backUp();
  await run(connection, sh`touch ${stop}`);
  const [most = '', ...runs] = (await watching).stdout.toString().trim().split('\n');
  const after = await resident(worker, 'VmRSS');
  say(`  memory: on the host at most ${most} MB; the worker ${before} MB before, ${after} MB afterwards`);
  say(`  runs of restic, in looks of a tenth of a second: ${runs.map((one) => one.trim()).join(', ')}`);
}

async function run(connection: Connection, script: Script): Promise<void> {
  const { exit, stderr } = await connection.run({ script, limitSeconds: 1800 });
  if (exit !== 0) throw new Error(`a script ended with ${exit}: ${stderr.toString()}`);
}
