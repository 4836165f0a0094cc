import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/host/exit-codes.js';
import { type Lab, type LabHost, startLab } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { stopSite } from '../../src/host/close-site.js';
import type { Host } from '../../src/host/host.js';
import { publishSite } from '../../src/host/nginx-site.js';
import { startPhp } from '../../src/host/php-fpm.js';
import { importDatabase } from '../../src/host/restore-database.js';
import { stageFiles } from '../../src/host/restore-files.js';
import {
  fetchManifest,
  parseManifest,
  type RestoreChange,
  type RestoreFacts,
} from '../../src/host/restore-manifest.js';
import { stagePath, switchPath, switchPathBack } from '../../src/host/restore-path.js';
import { restorePlaces } from '../../src/host/restore-places.js';
import { removeAllRestored, removeRestored } from '../../src/host/restore-removal.js';
import { askSpace, parseSpace } from '../../src/host/restore-space.js';
import { switchBack, switchRestore, type SwitchOrder } from '../../src/host/restore-switch.js';
import { prepareScratch, tryScratch } from '../../src/host/scratch.js';
import { sh } from '../../src/host/shell.js';
import { AWKWARD } from './awkward-database.js';
import { swapLoop } from './hostile.js';
import { killedEverywhere } from './killed-everywhere.js';
import { ask, type ReadyHost, ready } from './on-host.js';
import { reach } from './reach.js';
import { killJob, restoredSite, type RestoredSite } from './restored-site.js';

let lab: Lab;
let hosts: ReturnType<typeof reach>;
let machine: LabHost;
let host: Host;
let prepared: ReadyHost;

beforeAll(async () => {
  lab = await startLab({ hosts: [{ name: 'web1' }] });
  machine = lab.host('web1');
  hosts = reach(lab.hosts);
  host = await hosts.for('web1');
  prepared = await ready(machine);
});

afterAll(async () => {
  await hosts?.close();
  await lab?.down();
});

/** Some 30 deaths of each kind, one after the other. */
const LONG = { timeout: 2_700_000 };

type BackedUp = Awaited<ReturnType<RestoredSite['backUp']>>;

const newSite = async (): Promise<RestoredSite> => await restoredSite(prepared, host);
const awkward = async (site: RestoredSite) =>
  await site.sql(AWKWARD, `--init-command=SET sql_mode = 'ANSI_QUOTES'`, '--default-character-set=utf8mb4');

/** Runs it, and sees that it succeeded and that its own check says so. */
async function done(site: RestoredSite, change: RestoreChange): Promise<string> {
  const { exit, stdout, stderr } = await site.run(change);
  expect({ exit, stderr: exit === 0 ? '' : stderr }).toEqual({ exit: 0, stderr: '' });
  expect(await site.run(change)).toMatchObject({ exit: 0, already: true });
  return stdout;
}

function switching({ order, facts }: BackedUp): SwitchOrder {
  const { charset, collation } = facts.database!;
  return { site: order.site, operation: order.operation, files: true, database: { charset, collation } };
}

async function stage(site: RestoredSite, { order, facts }: BackedUp): Promise<void> {
  await done(site, fetchManifest(order, site.access));
  await done(site, stageFiles(order, facts, site.access));
  await done(site, importDatabase(order, facts.database!, site.access));
}

async function close(site: RestoredSite): Promise<void> {
  await done(site, publishSite({ ...site.page, maintenance: true }, prepared.facts));
  await done(site, stopSite(site.site));
}

async function open(site: RestoredSite): Promise<void> {
  await done(site, startPhp(site.php));
  await done(site, publishSite(site.page, prepared.facts));
}

const visit = async (site: RestoredSite): Promise<string> =>
  (await machine.exec(`curl -s -m 30 -o - -w ' %{http_code}' -H 'Host: ${site.domain}' http://127.0.0.1/`)).stdout;

/** What is left of restores on the host, beside what is noted of backups that are switched to. */
const leftovers = async (site: string): Promise<string> =>
  await ask(
    machine,
    sh`ls -A ${`/srv/chom/${site}`} | grep -v -x -e app -e shared -e tmp
mariadb -N -B -e ${`SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '${site}-%' UNION ALL SELECT User FROM mysql.global_priv WHERE User LIKE '${site}-%'`}
ls ${`/var/lib/chom/restores/${site}`} 2>/dev/null
true`,
  );

/** cap_net_raw of a file, in setxattr(2) and getxattr(2), x86_64: setcap is not on every host. */
const CAPABLE = sh`perl -e ${'my $v = pack("V5", 0x02000001, 0x2000, 0, 0, 0); my @of = ("capable", "security.capability"); syscall(188, @of, $v, 20, 0) == 0 or die $!'}`;
const LISTED = sh`perl -e ${'my $v = "\\0" x 64; my @of = ("capable", "security.capability"); exit(syscall(191, @of, $v, 64) > 0 ? 1 : 0)'}`;

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

async function alter(site: RestoredSite): Promise<void> {
  await site.sql(CHANGED);
  await ask(
    machine,
    sh`cd ${`/srv/chom/${site.site}/app`} && echo two >version && rm -rf deep && echo x >added && rm -f run && chown ${`${site.site}:www-data`} version added`,
  );
}

describe('a restore', () => {
  it('gives back files and database as they were, and its undo what was there before', async () => {
    const site = await newSite();
    await awkward(site);
    await ask(machine, AWKWARD_FILES(site.site));
    const before = await site.state();
    const backup = await site.backUp();
    await alter(site);
    const changed = await site.state();
    expect(changed).not.toBe(before);
    const facts = parseManifest(await done(site, fetchManifest(backup.order, site.access)));
    expect(facts).toEqual(backup.facts);
    expect(parseSpace(await ask(machine, askSpace()))).toMatchObject({ files: { place: '/srv/chom' } });
    await stage(site, backup);
    expect(await visit(site)).toBe('page two two 200');
    expect(await site.state()).toBe(changed);
    await close(site);
    expect(await visit(site)).toMatch(/being maintained.* 503$/s);
    await done(site, switchRestore(switching(backup)));
    expect(await site.state()).toBe(before);
    await open(site);
    expect(await visit(site)).toBe('page one one 200');
    await close(site);
    await done(site, switchBack(switching(backup)));
    expect(await site.state()).toBe(changed);
    await done(site, switchRestore(switching(backup)));
    expect(await site.state()).toBe(before);
    await open(site);
    await done(site, removeRestored(site.site, backup.order.operation));
    expect(await leftovers(site.site)).toBe('');
    expect(await site.state()).toBe(before);
  });

  it('goes on wherever it is killed, forwards and back', LONG, async () => {
    const site = await newSite();
    await awkward(site);
    const before = await site.state();
    const backup = await site.backUp();
    await alter(site);
    const changed = await site.state();
    await stage(site, backup);
    await close(site);
    const forwards = await killedEverywhere(
      machine,
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
      machine,
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
    await ask(
      machine,
      sh`rm /usr/local/lib/chom/restic && printf '#!/bin/sh\n/usr/bin/restic "$@"; code=$?\nwhile [ -e /etc/hold-restic ]; do sleep 0.05; done; exit $code\n' >/usr/local/lib/chom/restic && chmod 755 /usr/local/lib/chom/restic && touch /etc/hold-restic`,
    );
    const held = host.job(files);
    const tree = `${restorePlaces(site.site, whole.order.operation).beside}/tree/srv/chom/${site.site}/app/index.php`;
    await poll('files are restored', 120_000, async () => (await machine.exec(`[ -e ${tree} ]`)).exit === 0);
    await killJob(machine, files);
    expect((await held.catch((error: unknown) => error)) as object).not.toMatchObject({ exit: 0 });
    await ask(machine, sh`rm /etc/hold-restic; ln -sf /usr/bin/restic /usr/local/lib/chom/restic`);
    await done(site, stageFiles(whole.order, whole.facts, site.access));

    const backup = await site.backUp(dump);
    await done(site, fetchManifest(backup.order, site.access));
    const gate = `gate-${site.site}`;
    await ask(
      machine,
      sh`systemd-run --quiet --unit=${gate} sh -c ${sh`{ printf '%s;\n' ${`SELECT GET_LOCK('${gate}', 0)`}; exec sleep infinity; } | mariadb --unbuffered >/run/gate`.script}
n=0; until grep -q 1 /run/gate; do n=$((n + 1)); [ $n -lt 600 ] || exit 1; sleep 0.1; done`,
    );
    const database = site.job(importDatabase(backup.order, backup.facts.database!, site.access));
    const importing = host.job(database);
    const waits = `SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER LIKE '${site.site}-i%' AND STATE = 'User lock'`;
    await poll('the import waits', 120_000, async () => (await ask(machine, sh`mariadb -N -e ${waits}`)) === '1\n');
    await killJob(machine, database);
    expect((await importing.catch((error: unknown) => error)) as object).not.toMatchObject({ exit: 0 });
    await ask(machine, sh`systemctl stop ${gate}; rm /run/gate`);
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
    await ask(
      machine,
      sh`runuser -u ${site.site} -- mariadb -e ${`DROP DATABASE ${site.site}`} && find ${`/srv/chom/${site.site}/app`} -mindepth 1 -delete`,
    );
    await stage(site, backup);
    await close(site);
    await done(site, switchRestore(switching(backup)));
    expect(await site.state()).toBe(before);
    await open(site);
    expect(await visit(site)).toBe('page one one 200');
    await done(site, removeAllRestored(site.site));
    await ask(machine, sh`rm -rf ${restorePlaces(site.site, backup.order.operation).beside}`);
    expect(await leftovers(site.site)).toBe('');
  });

  it('over a damaged table is refused and taken back, or drops it where it is told to', async () => {
    const site = await newSite();
    await site.sql('CREATE TABLE whole (id INT); INSERT INTO whole VALUES (1)');
    const before = await site.state();
    const backup = await site.backUp();
    await ask(
      machine,
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
    await ask(machine, sh`echo two >${`/srv/chom/${site.site}/app/version`}`);
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
    await ask(machine, sh`echo two >${`/srv/chom/${site.site}/app/version`}`);
    const unit = `visits-${site.site}`;
    const loop = `while :; do curl -s -m 30 -o - -w ' %{http_code}\\n' -H 'Host: ${site.domain}' http://127.0.0.1/ | tail -n 1; done >/root/${unit}`;
    await ask(machine, sh`systemd-run --quiet --unit=${unit} sh -c ${loop}`);
    await stage(site, backup);
    await close(site);
    await done(site, switchRestore(switching(backup)));
    await open(site);
    const seen = async () => (await ask(machine, sh`uniq </root/${unit}`)).trimEnd().split('\n');
    await poll('a visitor sees the new page', 60_000, async () => (await seen()).at(-1) === 'page one one 200');
    await ask(machine, sh`systemctl stop ${unit}`);
    // While nginx reloads, its old processes answer some more; what is switched between the reloads is not.
    const answers = await seen();
    expect([...new Set(answers)]).toEqual(['page two two 200', ' 503', 'page one one 200']);
    expect(answers.lastIndexOf('page two two 200')).toBeLessThan(answers.indexOf('page one one 200'));
  });
});

describe('the staging of files', () => {
  it('makes all of it the site’s, and leaves out what is no file', async () => {
    const site = await newSite();
    const app = `/srv/chom/${site.site}/app`;
    await ask(
      machine,
      sh`cd ${app} && cp /bin/true setuid && chown root:root setuid && chmod 6755 setuid && mkfifo pipe && mknod device c 1 3
perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "socket", Listen => 1) or die'
mkdir odd && chown daemon:daemon odd && chmod 7777 odd && printf x >odd/theirs && chown 12345:54321 odd/theirs
cp /bin/true capable && ${CAPABLE}`,
    );
    const backup = await site.backUp();
    await done(site, fetchManifest(backup.order, site.access));
    await done(site, stageFiles(backup.order, backup.facts, site.access));
    const { beside } = restorePlaces(site.site, backup.order.operation);
    const found = await ask(
      machine,
      sh`stat -c '%a %U:%G' ${beside}; cd ${beside}/app && stat -c '%n %a %U:%G' *; ${LISTED}`,
    );
    expect(found.trimEnd().split('\n')).toEqual([
      '700 root:root',
      `capable 755 ${site.site}:www-data`,
      `index.php 644 ${site.site}:www-data`,
      `odd 2777 ${site.site}:${site.site}`,
      `setuid 755 ${site.site}:${site.site}`,
      `version 644 ${site.site}:www-data`,
    ]);
  });

  it('and the switch are not led astray by a site that exchanges its directories for links', async () => {
    const site = await newSite();
    await ask(
      machine,
      sh`mkdir -p ${['a', 'b'].map((name) => `/srv/chom/${site.site}/app/${name}`)} && chown ${site.site}: ${['a', 'b'].map((name) => `/srv/chom/${site.site}/app/${name}`)}
mkdir -p /root/treasure && echo gold >/root/treasure/gold && chmod 700 /root/treasure`,
    );
    const backup = await site.backUp();
    const guard = sh`find /root/treasure /etc -xdev -printf '%p %y %m %u:%g %l\n' | sort | sha256sum`;
    const guarded = await ask(machine, guard);
    await ask(machine, swapLoop(site.site, ['a', 'b'], ['/root/treasure', '/etc']));
    await stage(site, backup);
    for (let round = 0; round < 10; round += 1) {
      await done(site, switchRestore(switching(backup)));
      expect(await visit(site)).toBe('page one one 200');
      await done(site, switchBack(switching(backup)));
    }
    await ask(machine, sh`systemctl kill -s KILL ${`swap-${site.site}`}`);
    await done(site, switchRestore(switching(backup)));
    await done(site, removeRestored(site.site, backup.order.operation));
    expect(await ask(machine, guard)).toBe(guarded);
    expect(await leftovers(site.site)).toBe('');
  });
});

describe('the restore of one path', () => {
  const app = (site: RestoredSite) => `/srv/chom/${site.site}/app`;

  it('exchanges that path alone, as the site’s user, and takes it back', async () => {
    const site = await newSite();
    const path = 'app/up [1]*/per$(id)';
    await ask(
      machine,
      sh`mkdir -p ${`/srv/chom/${site.site}/${path}`} && cd ${`/srv/chom/${site.site}/${path}`} && echo old >file && ln -s /etc/shadow out && chown -R -h ${site.site}: ${`${app(site)}/up [1]*`}`,
    );
    const before = await site.state();
    const { order } = await site.backUp();
    await ask(
      machine,
      sh`cd ${`/srv/chom/${site.site}/${path}`} && echo new >file && rm out && echo more >more && chown ${site.site}: *`,
    );
    const changed = await site.state();
    await done(site, stagePath(order, site.site, path, site.access));
    await done(site, switchPath(order, path));
    expect(await site.state()).toBe(before);
    await done(site, switchPathBack(order, path));
    expect(await site.state()).toBe(changed);
    await done(site, switchPath(order, path));
    await done(site, removeRestored(site.site, order.operation));
    expect(await leftovers(site.site)).toBe('');
    expect(await site.state()).toBe(before);
  });

  it('puts back what is gone altogether, and refuses what the backup does not hold', async () => {
    const site = await newSite();
    await ask(machine, sh`cd ${app(site)} && mkdir -p a/b && echo deep >a/b/c && chown -R ${site.site}: a`);
    const { order } = await site.backUp();
    await ask(machine, sh`rm -r ${`${app(site)}/a`}`);
    await done(site, stagePath(order, site.site, 'app/a/b/c', site.access));
    await done(site, switchPath(order, 'app/a/b/c'));
    expect(await ask(machine, sh`cat ${`${app(site)}/a/b/c`} && stat -c %U ${`${app(site)}/a/b/c`}`)).toBe(
      `deep\n${site.site}\n`,
    );
    await done(site, switchPathBack(order, 'app/a/b/c'));
    expect(await ask(machine, sh`ls ${`${app(site)}/a/b`}`)).toBe('');
    const other = { ...order, operation: `${order.operation}-2` };
    expect(await site.run(stagePath(other, site.site, 'app/none', site.access))).toMatchObject({
      exit: EXIT.notRestored,
    });
    await done(site, removeRestored(site.site, order.operation));
    await done(site, removeRestored(site.site, other.operation));
    expect(await leftovers(site.site)).toBe('');
  });

  it('is not led astray by a site that exchanges the path for a link', async () => {
    const site = await newSite();
    await ask(
      machine,
      sh`mkdir ${`${app(site)}/a`} && echo mine >${`${app(site)}/a/mine`} && chown -R ${site.site}: ${`${app(site)}/a`}
mkdir -p /root/treasure/a && echo gold >/root/treasure/a/gold && chmod 700 /root/treasure`,
    );
    const { order } = await site.backUp();
    const guard = sh`find /root/treasure /etc -xdev -printf '%p %y %m %u:%g %l\n' | sort | sha256sum`;
    const guarded = await ask(machine, guard);
    await ask(machine, swapLoop(site.site, ['a'], ['/root/treasure', '/etc']));
    await done(site, stagePath(order, site.site, 'app/a/mine', site.access));
    // It may fail, for what the site does to its own path; where it works is the site's own affair.
    for (let round = 0; round < 20; round += 1) {
      await site.run(switchPath(order, 'app/a/mine'));
      await site.run(switchPathBack(order, 'app/a/mine'));
    }
    await ask(machine, sh`systemctl kill -s KILL ${`swap-${site.site}`}`);
    expect(await ask(machine, guard)).toBe(guarded);
    await done(site, removeRestored(site.site, order.operation));
  });
});

describe('a scratch restore', () => {
  const scratch = (site: RestoredSite, { operation }: BackedUp['order']) => ({
    ...{ site: site.site, domain: site.domain, type: 'php' as const, php: prepared.php, uid: site.uid, operation },
    ...{ files: true, page: true },
  });

  it('shows the page of a site that mails, calls out and writes, and does none of that', async () => {
    const site = await newSite();
    const program = `<?php $db = new mysqli('localhost', '${site.site}', '', '${site.site}');
$db->query("INSERT INTO version VALUES ('written')");
$mailed = @mail('someone@example.org', 'subject', 'text');
$called = @fsockopen('127.0.0.1', 80, $number, $why, 5);
file_put_contents('seen', 'mail ' . ($mailed ? 'yes' : 'no') . ', call ' . ($called ? 'yes' : 'no') . ', rows ' . $db->query('SELECT COUNT(*) FROM version')->fetch_row()[0]);
echo 'a page';`;
    await ask(machine, sh`printf %s ${program} >${`/srv/chom/${site.site}/app/index.php`}`);
    const before = await site.state();
    const { order, facts } = await site.backUp();
    await done(site, fetchManifest(order, site.access));
    await done(site, stageFiles(order, facts, site.access));
    await done(site, prepareScratch(order, site.access));
    expect(await done(site, tryScratch(scratch(site, order), facts.database))).toBe('200 6\n');
    const { beside } = restorePlaces(site.site, order.operation);
    expect(await ask(machine, sh`cat ${`${beside}/app/seen`}`)).toBe('mail no, call no, rows 2');
    expect(await site.state()).toBe(before);
    await done(site, removeRestored(site.site, order.operation));
    expect(await leftovers(site.site)).toBe('');
  });

  it('fails where the page is an error, and where the dump is not what the manifest says', async () => {
    const site = await newSite();
    await ask(
      machine,
      sh`echo '<?php throw new Exception("broken for the test");' >${`/srv/chom/${site.site}/app/index.php`}`,
    );
    const one = await site.backUp();
    await done(site, fetchManifest(one.order, site.access));
    await done(site, stageFiles(one.order, one.facts, site.access));
    await done(site, prepareScratch(one.order, site.access));
    const failed = await site.run(tryScratch(scratch(site, one.order), one.facts.database));
    expect(failed).toMatchObject({ exit: EXIT.notServed });
    expect(failed.stderr).toContain('broken for the test');
    expect(failed.stderr).toContain('the first page of what was restored answers 500');
    const two = await site.backUp('CREATE TABLE version (name VARCHAR(20));\n');
    const order = { ...two.order, files: one.order.files };
    await done(site, fetchManifest(order, site.access));
    await done(site, stageFiles(order, { ...two.facts, files: one.facts.files }, site.access));
    await done(site, prepareScratch(order, site.access));
    expect(await site.run(tryScratch(scratch(site, two.order), two.facts.database))).toMatchObject({
      exit: EXIT.notRestored,
    });
    for (const { operation } of [one.order, order]) await done(site, removeRestored(site.site, operation));
    expect(await leftovers(site.site)).toBe('');
  });
});

describe('the import of a dump', () => {
  const end = '\n-- Dump completed\n';
  it.each<[string, string]>([
    ['starts a program', '\\! touch /tmp/broken-out'],
    ['names another database', 'USE mysql;'],
    ['writes into another database', `CREATE TABLE mysql.broken_out (id INT);`],
    ['changes the server', 'SET GLOBAL local_infile = 1;'],
    ['makes a user', `CREATE USER broken_out;`],
    [
      'reads a file of the server',
      `CREATE TABLE stolen (text TEXT);\nLOAD DATA INFILE '/etc/passwd' INTO TABLE stolen;`,
    ],
    ['is no dump', 'This is no dump at all;'],
  ])('that %s is refused, and nothing of it is left', async (_, hostile) => {
    const site = await newSite();
    const before = await site.state();
    const { order, facts } = await site.backUp(`CREATE TABLE version (name VARCHAR(20));\n${hostile}${end}`);
    await done(site, fetchManifest(order, site.access));
    const output = await site.run(importDatabase(order, facts.database!, site.access));
    expect(output).toMatchObject({ exit: EXIT.dumpRejected });
    expect(output.stderr).toMatch(/the dump cannot be imported: (ERROR|.*sandbox)/);
    expect((await machine.exec('ls /tmp/broken-out; find /tmp -name broken-out')).stdout).toBe('');
    const { stdout } = await machine.exec(
      `mariadb -N -B -e "SELECT @@local_infile; SELECT User FROM mysql.global_priv WHERE User LIKE 'broken%' OR User LIKE '${site.site}-%'; SHOW TABLES FROM mysql LIKE 'broken%'"`,
    );
    expect(stdout).toMatch(/^[01]\n$/);
    await done(site, removeRestored(site.site, order.operation));
    expect(await leftovers(site.site)).toBe('');
    expect(await site.state()).toBe(before);
  });

  it('makes the site’s user the definer of what was another’s, in statements alone', async () => {
    const site = await newSite();
    await site.sql(
      `CREATE DEFINER=root@localhost PROCEDURE p() SELECT 'CREATE DEFINER=\`root\`@\`localhost\` PROCEDURE x'`,
    );
    await site.sql("CREATE DEFINER='mariadb.sys'@localhost VIEW v AS SELECT 'DEFINER=`root`@`localhost`' AS text");
    await site.sql(
      "CREATE TABLE t (text TEXT); INSERT INTO t VALUES ('/*!50013 DEFINER=`root`@`localhost` SQL SECURITY DEFINER */'); CREATE DEFINER=root@localhost EVENT e ON SCHEDULE EVERY 1 HOUR COMMENT 'ENABLE' DO DELETE FROM t",
    );
    const backup = await site.backUp();
    await stage(site, backup);
    const events = `SELECT EVENT_SCHEMA, STATUS, DEFINER FROM information_schema.EVENTS WHERE EVENT_NAME = 'e' AND EVENT_SCHEMA LIKE '${site.site}%' ORDER BY 1`;
    const { fresh, importer } = restorePlaces(site.site, backup.order.operation);
    expect(await site.sql(events)).toBe(
      `${site.site}\tENABLED\troot@localhost\n${fresh}\tDISABLED\t${importer}@localhost\n`,
    );
    await close(site);
    await done(site, switchRestore(switching(backup)));
    expect(await site.sql(events)).toBe(`${site.site}\tENABLED\t${site.site}@localhost\n`);
    const definers = `SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA = '${site.site}' UNION SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = '${site.site}'`;
    expect(await site.sql(definers)).toBe(`${site.site}@localhost\n`);
    expect(await site.sql('CALL p(); SELECT text FROM v; SELECT text FROM t')).toBe(
      'CREATE DEFINER=`root`@`localhost` PROCEDURE x\nDEFINER=`root`@`localhost`\n/*!50013 DEFINER=`root`@`localhost` SQL SECURITY DEFINER */\n',
    );
  });

  it('that is not what the manifest says is refused', async () => {
    const site = await newSite();
    const { order, facts } = await site.backUp(
      "CREATE TABLE version (name VARCHAR(20));\nINSERT INTO version VALUES\n('a'),\n('b');\n",
    );
    await done(site, fetchManifest(order, site.access));
    const output = await site.run(
      importDatabase(order, facts.database as NonNullable<RestoreFacts['database']>, site.access),
    );
    expect(output).toMatchObject({ exit: EXIT.notRestored });
    expect(output.stderr).toContain('table version has 2 rows, but the backup 1');
  });
});
