import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { EXIT } from '../../src/host/exit-codes.js';
import { poll } from '../../lab/poll.js';
import { importDatabase } from '../../src/host/restore-database.js';
import { stageFiles } from '../../src/host/restore-files.js';
import { fetchManifest, parseManifest } from '../../src/host/restore-manifest.js';
import { restorePlaces } from '../../src/host/restore-places.js';
import { removeAllRestored, removeRestored } from '../../src/host/restore-removal.js';
import { askSpace, parseSpace } from '../../src/host/restore-space.js';
import { prepareScratch, tryScratch } from '../../src/host/scratch.js';
import { switchBack, switchRestore } from '../../src/host/restore-switch.js';
import { sh } from '../../src/host/shell.js';
import { killedEverywhere } from './killed-everywhere.js';
import { awkward, type BackedUp, LONG, restoreHost, switching } from './restore-steps.js';
import { killJob, type RestoredSite } from './restored-site.js';

const trixie = restoreHost();
const bookworm = restoreHost(12);
const { machine, host, onHost, newSite, done, stage, close, open, visit, leftovers } = trixie;

/** Everything of a file system that a restore could lose. */
const AWKWARD_FILES = (
  site: string,
) => sh`cd ${`/srv/chom/${site}/app`} && mkdir -p deep/er shared-dir && chmod 2750 shared-dir
printf a >"$(printf 'na\377me')" && printf b >'line
break' && printf c >'-rf' && printf d >' "quoted" $(id) *'
printf linked >one-name && ln one-name deep/other-name
truncate -s 20M deep/er/holes && printf end >>deep/er/holes
ln -s /etc/shadow out && ln -s ../../../../../root up && ln -s nowhere dangling && ln -s one-name inside
printf '#!/bin/sh\n' >run && chmod 755 run && printf r >read-only && chmod 400 read-only && printf l >listed && touch -d '2001-02-03 04:05:06' one-name
chown -R -h ${`${site}:www-data`} . && printf mine >mine && chown ${`${site}:${site}`} mine && chmod 640 mine
perl -e ${'my $v = pack("V", 2) . pack("vvV" x 5, 1, 6, 0xffffffff, 2, 4, 33, 4, 4, 0xffffffff, 16, 4, 0xffffffff, 32, 0, 0xffffffff); my @of = ("listed", "system.posix_acl_access"); syscall(188, @of, $v, length $v, 0) == 0 or die $!'}`;

const CHANGED = `INSERT INTO parent VALUES (77); DROP TABLE keyless; CREATE TABLE later (id INT); DROP VIEW seen_again;
UPDATE version SET name = 'two'; DROP TRIGGER marks; DROP EVENT tidy; DROP PROCEDURE says;
CREATE PROCEDURE later() SELECT 1; CREATE VIEW later_seen AS SELECT * FROM later;
CREATE TRIGGER later BEFORE INSERT ON later FOR EACH ROW SET NEW.id = 1; CREATE EVENT later ON SCHEDULE EVERY 2 DAY DISABLE DO DELETE FROM later;`;

async function alter(on: typeof trixie, site: RestoredSite): Promise<void> {
  await site.sql(CHANGED);
  await on.onHost(
    sh`cd ${`/srv/chom/${site.site}/app`} && echo two >version && rm -rf deep && echo x >added && rm -f run && chown ${`${site.site}:www-data`} version added`,
  );
}

describe.each([
  ['Debian 13', trixie],
  ['Debian 12', bookworm],
])('a restore on %s', (_, on) => {
  it('gives back files and database as they were, and its undo what was there before', async () => {
    const site = await on.newSite();
    await awkward(site);
    await on.onHost(AWKWARD_FILES(site.site));
    const before = await site.state();
    const backup = await site.backUp();
    await alter(on, site);
    const changed = await site.state();
    expect(changed).not.toBe(before);
    const facts = parseManifest(await on.done(site, fetchManifest(backup.order, site.access)));
    expect(facts).toEqual(backup.facts);
    expect(parseSpace(await on.onHost(askSpace()))).toMatchObject({ files: { place: '/srv/chom' } });
    await on.stage(site, backup);
    expect(await on.visit(site)).toBe('page two two 200');
    expect(await site.state()).toBe(changed);
    await on.close(site);
    expect(await on.visit(site)).toMatch(/being maintained.* 503$/s);
    await on.done(site, switchRestore(switching(backup)));
    expect(await site.state()).toBe(before);
    await on.open(site);
    expect(await on.visit(site)).toBe('page one one 200');
    await on.close(site);
    await on.done(site, switchBack(switching(backup)));
    expect(await site.state()).toBe(changed);
    await on.done(site, switchRestore(switching(backup)));
    expect(await site.state()).toBe(before);
    await on.open(site);
    await on.done(site, removeRestored(site.site, backup.order.operation));
    expect(await on.leftovers(site.site)).toBe('');
    expect(await site.state()).toBe(before);
  });
});

describe('a backup of one Debian that is restored into a site on another', () => {
  /** Takes the database's name from its settings, which a restore into another site changes. */
  const PROGRAM = `<?php $id = trim(file_get_contents('.env')); $db = new mysqli('localhost', $id, '', $id);
echo 'page ', trim(file_get_contents('version')), ' ', $db->query('SELECT name FROM version')->fetch_row()[0];`;
  const named = (what: string, of: string) => `SELECT ${what} FROM information_schema.${of}`;
  /** All rows of all tables as a query sees them, what tables were before, and what else there is, by name. */
  const contents = async ({ site }: RestoredSite, on: typeof trixie) => {
    const names = [
      `${named('TABLE_NAME, TABLE_TYPE', 'TABLES')} WHERE TABLE_SCHEMA = '${site}' ORDER BY 1`,
      `${named('TRIGGER_NAME', 'TRIGGERS')} WHERE TRIGGER_SCHEMA = '${site}' ORDER BY 1`,
      `${named('ROUTINE_NAME', 'ROUTINES')} WHERE ROUTINE_SCHEMA = '${site}' ORDER BY 1`,
      `${named('EVENT_NAME', 'EVENTS')} WHERE EVENT_SCHEMA = '${site}' ORDER BY 1`,
      `SELECT id, text, row_start FROM ${site}.kept FOR SYSTEM_TIME ALL ORDER BY 1, 3`,
    ];
    const rows = ['--no-create-info', '--skip-triggers', '--compact', '--hex-blob', '--order-by-primary'];
    return await on.onHost(
      sh`mariadb-dump ${rows} --default-character-set=utf8mb4 ${site} | grep '^(' | sed 's/;$/,/'
mariadb -N -B -e ${names.join('; ')}`,
    );
  };

  /** A backup with its repository, as a site on the other one finds it in a storage. */
  async function across(backup: BackedUp, from: RestoredSite, [source, target]: [typeof trixie, typeof trixie]) {
    const site = await target.newSite();
    const [there, here] = [source.machine().sshArguments, target.machine().sshArguments];
    const carry = sh`ssh ${there} tar -C /backups -c ${from.site} | ssh ${here} tar -C /backups -x`;
    await promisify(execFile)('sh', ['-c', carry.script.toString()]);
    const order = { ...backup.order, site: site.site, uid: site.uid };
    return { site: { ...site, access: from.access }, backup: { ...backup, order } };
  }

  it.each<[string, string, typeof trixie, typeof trixie]>([
    ['13', '12', trixie, bookworm],
    ['12', '13', bookworm, trixie],
  ])('from Debian %s brings files and database to Debian %s as they were', async (_from, _to, source, target) => {
    const from = await source.newSite();
    await awkward(from);
    await from.sql(
      "CREATE TABLE newest (id INT PRIMARY KEY, name VARCHAR(20)) COLLATE utf8mb4_uca1400_ai_ci; INSERT INTO newest VALUES (1, 'ä')",
    );
    await source.onHost(
      sh`cd ${`/srv/chom/${from.site}/app`} && echo ${from.site} >.env && printf %s ${PROGRAM} >index.php && chown ${`${from.site}:www-data`} .env index.php`,
    );
    const rows = await contents(from, source);
    expect(rows).toMatch(/^newest\tBASE TABLE$/m);
    expect(rows).toMatch(/^\(1,'uno'\)/m);
    const { site, backup } = await across(await from.backUp(), from, [source, target]);
    await target.stage(site, backup);
    await target.close(site);
    await target.done(site, switchRestore(switching(backup)));
    await target.open(site);
    expect(await contents(site, target)).toBe(rows);
    expect(await target.visit(site)).toBe('page one one 200');
    await target.done(site, removeRestored(site.site, backup.order.operation));
    expect(await target.leftovers(site.site)).toBe('');
  });

  it('is refused where it holds what the older MariaDB does not know, and the site is as it was', async () => {
    const from = await trixie.newSite();
    await from.sql('CREATE TABLE learnt (id INT PRIMARY KEY, place VECTOR(2) NOT NULL)');
    const { site, backup } = await across(await from.backUp(), from, [trixie, bookworm]);
    const before = await site.state();
    await bookworm.done(site, fetchManifest(backup.order, site.access));
    const refused = await site.run(importDatabase(backup.order, backup.facts.database!, from.access));
    expect(refused).toMatchObject({ exit: EXIT.dumpRejected });
    expect(refused.stderr).toMatch(/the dump cannot be imported: ERROR 4161 .*'vector'/i);
    await bookworm.done(site, removeRestored(site.site, backup.order.operation));
    expect(await bookworm.leftovers(site.site)).toBe('');
    expect(await site.state()).toBe(before);
    expect(await bookworm.visit(site)).toBe('page one one 200');
  });

  it('is refused where the client is older than its sandbox mode, and it is said what brings a newer one', async () => {
    const site = await bookworm.newSite();
    const before = await site.state();
    const { order, facts } = await site.backUp();
    await bookworm.done(site, fetchManifest(order, site.access));
    await bookworm.done(site, stageFiles(order, facts, site.access));
    await bookworm.done(site, prepareScratch(order, site.access));
    const scratch = { site: site.site, domain: site.domain, type: 'php' as const, php: bookworm.prepared().php };
    // As MariaDB 10.11.6 answers, which Debian 12 had before its security updates.
    const older = `#!/bin/sh
case " $* " in *' --sandbox '*) echo "mariadb: unknown option '--sandbox'" >&2; exit 7 ;; esac
exec /usr/bin/mariadb.newer "$@"
`;
    await bookworm.onHost(
      sh`mv /usr/bin/mariadb /usr/bin/mariadb.newer && printf %s ${older} >/usr/bin/mariadb && chmod 755 /usr/bin/mariadb`,
    );
    const refused = await site.run(importDatabase(order, facts.database!, site.access));
    const { operation } = order;
    const tried = await site.run(
      tryScratch({ ...scratch, uid: site.uid, operation, files: true, page: true }, facts.database),
    );
    await bookworm.onHost(sh`mv /usr/bin/mariadb.newer /usr/bin/mariadb`);
    for (const said of [refused, tried]) {
      // The backup is as good as it was: nothing is noted against it.
      expect(said).toMatchObject({ exit: EXIT.unsupported });
      expect(said.stderr).toContain('apt-get install --only-upgrade mariadb-client');
    }
    await bookworm.done(site, removeRestored(site.site, order.operation));
    expect(await bookworm.leftovers(site.site)).toBe('');
    expect(await site.state()).toBe(before);
  });
});

describe('a restore', () => {
  it('goes on wherever it is killed, forwards and back', LONG, async () => {
    const site = await newSite();
    await awkward(site);
    const before = await site.state();
    const backup = await site.backUp();
    await alter(trixie, site);
    const changed = await site.state();
    await stage(site, backup);
    await close(site);
    const forwards = await killedEverywhere(
      machine(),
      site,
      switchRestore(switching(backup)),
      switchBack(switching(backup)),
      changed,
      0,
    );
    expect(forwards).toBeGreaterThan(5);
    expect(await site.state()).toBe(before);
    await done(site, switchBack(switching(backup)));
    expect(await site.state()).toBe(changed);
    await done(site, switchRestore(switching(backup)));
    const back = await killedEverywhere(
      machine(),
      site,
      switchBack(switching(backup)),
      switchRestore(switching(backup)),
      before,
      1,
    );
    expect(back).toBeGreaterThan(2);
    expect(await site.state()).toBe(changed);
    await done(site, removeRestored(site.site, backup.order.operation));
    expect(await leftovers(site.site)).toBe('');
  });

  it('that is killed while it stages leaves the site alone, and is done again', async () => {
    const site = await newSite();
    const dump = `CREATE TABLE version (name VARCHAR(20));\nINSERT INTO version VALUES\n('one');\nDO GET_LOCK('gate-${site.site}', 600);\n-- Dump completed\n`;
    const whole = await site.backUp();
    const changed = await site.state();
    await done(site, fetchManifest(whole.order, site.access));
    const files = site.job(stageFiles(whole.order, whole.facts, site.access));
    await onHost(
      sh`rm /usr/local/lib/chom/restic && printf '#!/bin/sh\n/usr/bin/restic "$@"; code=$?\nwhile [ -e /etc/hold-restic ]; do sleep 0.05; done; exit $code\n' >/usr/local/lib/chom/restic && chmod 755 /usr/local/lib/chom/restic && touch /etc/hold-restic`,
    );
    const held = host().job(files);
    const tree = `${restorePlaces(site.site, whole.order.operation).beside}/tree/srv/chom/${site.site}/app/index.php`;
    await poll('files are restored', 120_000, async () => (await machine().exec(`[ -e ${tree} ]`)).exit === 0);
    await killJob(machine(), files);
    expect((await held.catch((error: unknown) => error)) as object).not.toMatchObject({ exit: 0 });
    await onHost(sh`rm /etc/hold-restic; ln -sf /usr/bin/restic /usr/local/lib/chom/restic`);
    await done(site, stageFiles(whole.order, whole.facts, site.access));

    const backup = await site.backUp(dump);
    await done(site, fetchManifest(backup.order, site.access));
    const gate = `gate-${site.site}`;
    await onHost(
      sh`systemd-run --quiet --unit=${gate} sh -c ${sh`{ printf '%s;\n' ${`SELECT GET_LOCK('${gate}', 0)`}; exec sleep infinity; } | mariadb --unbuffered >/run/gate`.script}
n=0; until grep -q 1 /run/gate; do n=$((n + 1)); [ $n -lt 600 ] || exit 1; sleep 0.1; done`,
    );
    const database = site.job(importDatabase(backup.order, backup.facts.database!, site.access));
    const importing = host().job(database);
    const waits = `SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER LIKE '${site.site}-i%' AND STATE = 'User lock'`;
    await poll('the import waits', 120_000, async () => (await onHost(sh`mariadb -N -e ${waits}`)) === '1\n');
    await killJob(machine(), database);
    expect((await importing.catch((error: unknown) => error)) as object).not.toMatchObject({ exit: 0 });
    await onHost(sh`systemctl stop ${gate}; rm /run/gate`);
    await done(site, importDatabase(backup.order, backup.facts.database!, site.access));
    expect(await site.state()).toBe(changed);
    await done(site, removeRestored(site.site, whole.order.operation));
    await done(site, removeRestored(site.site, backup.order.operation));
    expect(await leftovers(site.site)).toBe('');
  });

  it('brings back a database that its own user dropped, and a directory that it emptied', async () => {
    const site = await newSite();
    const before = await site.state();
    const backup = await site.backUp();
    await onHost(
      sh`runuser -u ${site.site} -- mariadb -e ${`DROP DATABASE ${site.site}`} && find ${`/srv/chom/${site.site}/app`} -mindepth 1 -delete`,
    );
    await stage(site, backup);
    await close(site);
    await done(site, switchRestore(switching(backup)));
    expect(await site.state()).toBe(before);
    await open(site);
    expect(await visit(site)).toBe('page one one 200');
    await done(site, removeAllRestored(site.site));
    await onHost(sh`rm -rf ${restorePlaces(site.site, backup.order.operation).beside}`);
    expect(await leftovers(site.site)).toBe('');
  });

  it('over a damaged table is refused and taken back, or drops it where it is told to', async () => {
    const site = await newSite();
    await site.sql('CREATE TABLE whole (id INT); INSERT INTO whole VALUES (1)');
    const before = await site.state();
    const backup = await site.backUp();
    await onHost(
      sh`systemctl stop mariadb && rm ${`/var/lib/mysql/${site.site}/version.ibd`} && systemctl start mariadb`,
    );
    await stage(site, backup);
    await close(site);
    const refused = await site.run(switchRestore(switching(backup)));
    expect(refused).toMatchObject({ exit: EXIT.databaseBroken });
    expect(refused.stderr).toContain(`the database of ${site.site} is damaged: ERROR`);
    await done(site, switchBack(switching(backup)));
    expect(await site.sql('SELECT id FROM whole')).toBe('1\n');
    await done(site, switchRestore({ ...switching(backup), dropDamaged: true }));
    expect(await site.state()).toBe(before);
    await open(site);
    expect(await visit(site)).toBe('page one one 200');
    await done(site, removeRestored(site.site, backup.order.operation));
    expect(await leftovers(site.site)).toBe('');
  });

  it('of the files alone leaves the database, and one of the database alone the files', async () => {
    const site = await newSite();
    const backup = await site.backUp();
    await site.sql("UPDATE version SET name = 'two'");
    await onHost(sh`echo two >${`/srv/chom/${site.site}/app/version`}`);
    const order = switching(backup);
    await done(site, fetchManifest(backup.order, site.access));
    await done(site, stageFiles(backup.order, backup.facts, site.access));
    await close(site);
    await done(site, switchRestore({ ...order, database: null }));
    await open(site);
    expect(await visit(site)).toBe('page one two 200');
    const other = { ...backup.order, operation: `${backup.order.operation}-2` };
    await done(site, fetchManifest(other, site.access));
    await done(site, importDatabase(other, backup.facts.database!, site.access));
    await close(site);
    await done(site, switchBack({ ...order, database: null }));
    await done(site, switchRestore({ ...order, operation: other.operation, files: false }));
    await open(site);
    expect(await visit(site)).toBe('page two one 200');
    await close(site);
    await done(site, switchBack({ ...order, operation: other.operation, files: false }));
    await open(site);
    expect(await visit(site)).toBe('page two two 200');
    for (const { operation } of [backup.order, other]) await done(site, removeRestored(site.site, operation));
    expect(await leftovers(site.site)).toBe('');
  });

  it('shows visitors the old page, the maintenance page or the new one, and nothing else', async () => {
    const site = await newSite();
    const backup = await site.backUp();
    await site.sql("UPDATE version SET name = 'two'");
    await onHost(sh`echo two >${`/srv/chom/${site.site}/app/version`}`);
    const unit = `visits-${site.site}`;
    const loop = `while :; do curl -s -m 30 -o - -w ' %{http_code}\\n' -H 'Host: ${site.domain}' http://127.0.0.1/ | tail -n 1; done >/root/${unit}`;
    await onHost(sh`systemd-run --quiet --unit=${unit} sh -c ${loop}`);
    await stage(site, backup);
    await close(site);
    await done(site, switchRestore(switching(backup)));
    await open(site);
    const seen = async () => (await onHost(sh`uniq </root/${unit}`)).trimEnd().split('\n');
    await poll('a visitor sees the new page', 60_000, async () => (await seen()).at(-1) === 'page one one 200');
    await onHost(sh`systemctl stop ${unit}`);
    // While nginx reloads, its old processes answer some more; what is switched between the reloads is not.
    const answers = await seen();
    expect([...new Set(answers)]).toEqual(['page two two 200', ' 503', 'page one one 200']);
    expect(answers.lastIndexOf('page two two 200')).toBeLessThan(answers.indexOf('page one one 200'));
  });
});
