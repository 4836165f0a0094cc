import { describe, expect, it } from 'vitest';
import { EXIT } from '../../src/host/exit-codes.js';
import { importDatabase } from '../../src/host/restore-database.js';
import { stageFiles } from '../../src/host/restore-files.js';
import { fetchManifest, type RestoreFacts } from '../../src/host/restore-manifest.js';
import { stagePath, switchPath, switchPathBack } from '../../src/host/restore-path.js';
import { restorePlaces } from '../../src/host/restore-places.js';
import { removeRestored } from '../../src/host/restore-removal.js';
import { switchBack, switchRestore } from '../../src/host/restore-switch.js';
import { prepareScratch, tryScratch } from '../../src/host/scratch.js';
import { sh } from '../../src/host/shell.js';
import { swapLoop } from './hostile.js';
import { type BackedUp, restoreHost, switching } from './restore-steps.js';
import type { RestoredSite } from './restored-site.js';

const { machine, prepared, onHost, newSite, done, stage, close, visit, leftovers } = restoreHost();

/** cap_net_raw of a file, in setxattr(2) and getxattr(2), x86_64: setcap is not on every host. */
const CAPABLE = sh`perl -e ${'my $v = pack("V5", 0x02000001, 0x2000, 0, 0, 0); my @of = ("capable", "security.capability"); syscall(188, @of, $v, 20, 0) == 0 or die $!'}`;
const LISTED = sh`perl -e ${'my $v = "\\0" x 64; my @of = ("capable", "security.capability"); exit(syscall(191, @of, $v, 64) > 0 ? 1 : 0)'}`;

describe('the staging of files', () => {
  it('makes all of it the site’s, and leaves out what is no file', async () => {
    const site = await newSite();
    const app = `/srv/chom/${site.site}/app`;
    await onHost(
      sh`cd ${app} && cp /bin/true setuid && chown root:root setuid && chmod 6755 setuid && mkfifo pipe && mknod device c 1 3
perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "socket", Listen => 1) or die'
mkdir odd && chown daemon:daemon odd && chmod 7777 odd && printf x >odd/theirs && chown 12345:54321 odd/theirs
cp /bin/true capable && ${CAPABLE}`,
    );
    const backup = await site.backUp();
    await done(site, fetchManifest(backup.order, site.access));
    await done(site, stageFiles(backup.order, backup.facts, site.access));
    const { beside } = restorePlaces(site.site, backup.order.operation);
    const found = await onHost(
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
    await onHost(
      sh`mkdir -p ${['a', 'b'].map((name) => `/srv/chom/${site.site}/app/${name}`)} && chown ${site.site}: ${['a', 'b'].map((name) => `/srv/chom/${site.site}/app/${name}`)}
mkdir -p /root/treasure && echo gold >/root/treasure/gold && chmod 700 /root/treasure`,
    );
    const backup = await site.backUp();
    const guard = sh`find /root/treasure /etc -xdev -printf '%p %y %m %u:%g %l\n' | sort | sha256sum`;
    const guarded = await onHost(guard);
    await onHost(swapLoop(site.site, ['a', 'b'], ['/root/treasure', '/etc']));
    await stage(site, backup);
    for (let round = 0; round < 10; round += 1) {
      await done(site, switchRestore(switching(backup)));
      expect(await visit(site)).toBe('page one one 200');
      await done(site, switchBack(switching(backup)));
    }
    await onHost(sh`systemctl kill -s KILL ${`swap-${site.site}`}`);
    await done(site, switchRestore(switching(backup)));
    await done(site, removeRestored(site.site, backup.order.operation));
    expect(await onHost(guard)).toBe(guarded);
    expect(await leftovers(site.site)).toBe('');
  });
});

describe('the restore of one path', () => {
  const app = (site: RestoredSite) => `/srv/chom/${site.site}/app`;

  it('exchanges that path alone, as the site’s user, and takes it back', async () => {
    const site = await newSite();
    const path = 'app/up [1]*/per$(id)';
    await onHost(
      sh`mkdir -p ${`/srv/chom/${site.site}/${path}`} && cd ${`/srv/chom/${site.site}/${path}`} && echo old >file && ln -s /etc/shadow out && chown -R -h ${site.site}: ${`${app(site)}/up [1]*`}`,
    );
    const before = await site.state();
    const { order } = await site.backUp();
    await onHost(
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
    await onHost(sh`cd ${app(site)} && mkdir -p a/b && echo deep >a/b/c && chown -R ${site.site}: a`);
    const { order } = await site.backUp();
    await onHost(sh`rm -r ${`${app(site)}/a`}`);
    await done(site, stagePath(order, site.site, 'app/a/b/c', site.access));
    await done(site, switchPath(order, 'app/a/b/c'));
    expect(await onHost(sh`cat ${`${app(site)}/a/b/c`} && stat -c %U ${`${app(site)}/a/b/c`}`)).toBe(
      `deep\n${site.site}\n`,
    );
    await done(site, switchPathBack(order, 'app/a/b/c'));
    expect(await onHost(sh`ls ${`${app(site)}/a/b`}`)).toBe('');
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
    await onHost(
      sh`mkdir ${`${app(site)}/a`} && echo mine >${`${app(site)}/a/mine`} && chown -R ${site.site}: ${`${app(site)}/a`}
mkdir -p /root/treasure/a && echo gold >/root/treasure/a/gold && chmod 700 /root/treasure`,
    );
    const { order } = await site.backUp();
    const guard = sh`find /root/treasure /etc -xdev -printf '%p %y %m %u:%g %l\n' | sort | sha256sum`;
    const guarded = await onHost(guard);
    await onHost(swapLoop(site.site, ['a'], ['/root/treasure', '/etc']));
    await done(site, stagePath(order, site.site, 'app/a/mine', site.access));
    // It may fail, for what the site does to its own path; where it works is the site's own affair.
    for (let round = 0; round < 20; round += 1) {
      await site.run(switchPath(order, 'app/a/mine'));
      await site.run(switchPathBack(order, 'app/a/mine'));
    }
    await onHost(sh`systemctl kill -s KILL ${`swap-${site.site}`}`);
    expect(await onHost(guard)).toBe(guarded);
    await done(site, removeRestored(site.site, order.operation));
  });
});

describe('a scratch restore', () => {
  const scratch = (site: RestoredSite, { operation }: BackedUp['order']) => ({
    ...{ site: site.site, domain: site.domain, type: 'php' as const, php: prepared().php, uid: site.uid, operation },
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
    await onHost(sh`printf %s ${program} >${`/srv/chom/${site.site}/app/index.php`}`);
    const before = await site.state();
    const { order, facts } = await site.backUp();
    await done(site, fetchManifest(order, site.access));
    await done(site, stageFiles(order, facts, site.access));
    await done(site, prepareScratch(order, site.access));
    expect(await done(site, tryScratch(scratch(site, order), facts.database))).toBe('200 6\n');
    const { beside } = restorePlaces(site.site, order.operation);
    expect(await onHost(sh`cat ${`${beside}/app/seen`}`)).toBe('mail no, call no, rows 2');
    expect(await site.state()).toBe(before);
    await done(site, removeRestored(site.site, order.operation));
    expect(await leftovers(site.site)).toBe('');
  });

  it('fails where the page is an error, and where the dump is not what the manifest says', async () => {
    const site = await newSite();
    await onHost(
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
    expect((await machine().exec('ls /tmp/broken-out; find /tmp -name broken-out')).stdout).toBe('');
    const { stdout } = await machine().exec(
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
