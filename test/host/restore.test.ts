import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EXIT } from '../../src/host/exit-codes.js';
import { stopSite } from '../../src/host/close-site.js';
import { DUMP_FILTER } from '../../src/host/dump-filter.js';
import { restoreBox } from '../../src/host/restore-box.js';
import { importDatabase } from '../../src/host/restore-database.js';
import { stageFiles } from '../../src/host/restore-files.js';
import { fetchManifest, parseManifest, type RestoreFacts } from '../../src/host/restore-manifest.js';
import { takeNames } from '../../src/host/restore-names.js';
import { restorePlaces } from '../../src/host/restore-places.js';
import { stagePath, switchPath, switchPathBack } from '../../src/host/restore-path.js';
import { readResult } from '../../src/host/restic-result.js';
import { removeAllRestored, removeRestored } from '../../src/host/restore-removal.js';
import { askSpace, expectRoom, expectScratchRoom, parseSpace } from '../../src/host/restore-space.js';
import { switchBack, switchRestore } from '../../src/host/restore-switch.js';
import { prepareScratch, tryScratch } from '../../src/host/scratch.js';
import type { Script } from '../../src/host/shell.js';

const site = 'sabcdefghi';
const ids = { manifest: '1'.repeat(64), files: '2'.repeat(64), database: '3'.repeat(64) };
const order = { site, uid: 20_001, operation: 'op-1', manifestSha256: '4'.repeat(64), ...ids };
const facts: RestoreFacts = {
  ...{ format: 1, operation: 'op-0', site },
  database: { bytes: 1000, sha256: '5'.repeat(64), rows: 1, tables: 1, charset: 'utf8mb4', collation: 'utf8mb4_bin' },
  files: { files: 4, directories: 5, links: 6, bytes: 7000 },
};
const access = { url: '/r', password: Buffer.from('hidden'), login: null, hostKey: null, ca: null };
const switching = { site, operation: 'op-1', files: true, database: { charset: 'utf8mb4', collation: 'utf8mb4_bin' } };

const scratch = {
  site,
  uid: 20_001,
  operation: 'op-1',
  domain: 'example.org',
  type: 'php' as const,
  php: '8.4' as const,
  ...{ files: true, page: true },
};

describe('the steps of a restore', () => {
  const steps = [
    fetchManifest(order, access),
    stageFiles(order, facts, access),
    stageFiles(order, { ...facts, site: 'sother2345' }, access),
    importDatabase(order, facts.database!, access),
    ...[
      switching,
      { ...switching, dropDamaged: true },
      { ...switching, files: false },
      { ...switching, database: null },
    ].flatMap((one) => [switchRestore(one), switchBack(one)]),
    removeRestored(site, 'op-1'),
    removeAllRestored(site),
    stagePath(order, site, 'app/a b', access),
    switchPath(order, 'app/a b'),
    switchPathBack(order, 'app/a b'),
    stopSite(site),
    prepareScratch(order, access),
    prepareScratch({ ...order, database: null }, access),
    tryScratch(scratch, facts.database),
    tryScratch({ ...scratch, page: false }, null),
    tryScratch({ ...scratch, files: false, page: false }, facts.database),
  ];

  it('are scripts to the shell of a host', () => {
    const scripts: Script[] = [askSpace(), ...steps.flatMap(({ check, act }) => [check, act])];
    for (const { script } of scripts) {
      expect(execFileSync('dash', ['-n'], { input: script, encoding: 'utf8' })).toBe('');
    }
  });

  it('hold no password', () => {
    for (const { check, act, properties } of steps) {
      expect([check.script, act.script, ...(properties ?? [])].join('\n')).not.toContain('hidden');
    }
  });

  it('see of all sites that one alone', () => {
    expect(restoreBox({ site, operation: 'op-1' })).toEqual(
      expect.arrayContaining(['BindPaths=/srv/chom/sabcdefghi', 'ProtectSystem=strict']),
    );
  });

  it('see no network and no live file where a backup is tried out', () => {
    const { properties = [] } = tryScratch(scratch, facts.database);
    expect(properties).toContain('PrivateNetwork=yes');
    expect(properties).not.toContain('BindPaths=/srv/chom/sabcdefghi');
  });

  it('bind no files where a backup of the database alone is tried out', () => {
    const bound = (files: boolean) =>
      (tryScratch({ ...scratch, files }, facts.database).properties ?? []).filter((one) => one.endsWith('/app'));
    expect(bound(true)).toHaveLength(1);
    expect(bound(false)).toEqual([]);
  });

  it('name what they make by the operation, without a character that a GRANT takes for another', () => {
    const [one, other] = [restorePlaces(site, 'op-1'), restorePlaces(site, 'op-2')];
    const names = [one, other].flatMap(({ fresh, old, importer, beside }) => [fresh, old, importer, beside]);
    expect(new Set(names).size).toBe(names.length);
    for (const { fresh, old, importer } of [one, other]) {
      for (const name of [fresh, old, importer]) expect(name).toMatch(/^sabcdefghi-[noi][0-9a-f]{10}$/);
    }
  });
});

describe('what is restored into another site', () => {
  it('knows itself as that site, in its settings and in links into its own directories, and is else as it was', () => {
    const tree = mkdtempSync(join(tmpdir(), 'chom-tree-'));
    try {
      for (const name of ['app', 'shared']) mkdirSync(join(tree, name));
      writeFileSync(join(tree, 'app/.env'), 'DB_DATABASE=sother2345\nDB_USERNAME=sother2345\nX=1\n', { mode: 0o640 });
      writeFileSync(join(tree, 'app/page.php'), 'sother2345');
      symlinkSync('/etc/hostname', join(tree, 'app/wp-config.php'));
      symlinkSync('/srv/chom/sother2345/shared/a b', join(tree, 'app/within'));
      symlinkSync('../shared', join(tree, 'app/relative'));
      symlinkSync('/srv/chom/sother23456/x', join(tree, 'app/elsewhere'));
      const run = (from: string) =>
        execFileSync('dash', ['-c', takeNames(tree, { from, site }).script.toString()], { stdio: 'pipe' });
      run(site);
      expect(readFileSync(join(tree, 'app/.env'), 'utf8')).toContain('sother2345');
      run('sother2345');
      expect(readFileSync(join(tree, 'app/.env'), 'utf8')).toBe(`DB_DATABASE=${site}\nDB_USERNAME=${site}\nX=1\n`);
      expect(lstatSync(join(tree, 'app/.env')).mode & 0o777).toBe(0o640);
      expect(readFileSync(join(tree, 'app/page.php'), 'utf8')).toBe('sother2345');
      const links = ['wp-config.php', 'within', 'relative', 'elsewhere'].map((name) =>
        readlinkSync(join(tree, 'app', name)),
      );
      expect(links).toEqual(['/etc/hostname', `/srv/chom/${site}/shared/a b`, '../shared', '/srv/chom/sother23456/x']);
      run('sother2345');
    } finally {
      rmSync(tree, { recursive: true });
    }
  });
});

describe('what a step of a restore says', () => {
  const read = (exit: number, stderr: string) => () =>
    readResult(
      { exit, stdout: 'said', stderr, already: false, milliseconds: 1 },
      { name: 'web1' },
      { what: 'The restore', storage: 'store1' },
    );

  it('is its output, or a failure of its own or of restic', () => {
    expect(read(0, '')()).toBe('said');
    for (const [exit, type] of [
      [EXIT.dumpRejected, 'DumpRejected'],
      [EXIT.notRestored, 'RepositoryDamaged'],
      [EXIT.databaseLocked, 'DatabaseLocked'],
      [EXIT.diskFull, 'DiskFull'],
      [12, 'WrongPassword'],
    ] as const) {
      expect(read(exit, 'why')).toThrow(expect.objectContaining({ type }));
    }
  });
});

describe('the path of a restore', () => {
  it.each(['', 'app', 'app/', '/etc/passwd', 'app/../../x', 'app/./x', 'app//x', 'tmp/x', '../x'])(
    'is not %j',
    (path) => {
      expect(() => switchPath(order, path)).toThrow('is no path below app or shared of a site');
    },
  );

  it('is a path to restic, and no pattern', () => {
    const { act } = stagePath(order, 'sother2345', 'app/a*[b]?\\c', access);
    expect(act.script.toString()).toContain(String.raw`--include '/srv/chom/sother2345/app/a\*\[b\]\?\\c' --sparse`);
  });
});

describe('the manifest', () => {
  it('is read where it is one, and refused where it is none', () => {
    expect(parseManifest(JSON.stringify({ ...facts, more: 1 }))).toEqual(facts);
    for (const text of ['', '{}', JSON.stringify({ ...facts, format: 2 })]) {
      expect(() => parseManifest(text)).toThrow('The manifest of the backup cannot be read');
    }
  });

  it('with what would become SQL or a path is refused', () => {
    const database = { ...facts.database!, charset: 'utf8mb4; DROP' };
    for (const wrong of [{ database }, { site: '../etc' }]) {
      expect(() => parseManifest(JSON.stringify({ ...facts, ...wrong }))).toThrow('cannot be read');
    }
  });
});

describe('the room for a restore', () => {
  const MIB = 1024 * 1024;
  const space = (files: number, databases: number, device = '2', inodes = '9 9000') =>
    parseSpace(`${files * MIB} ${inodes} 1 /srv/chom\n${databases * MIB} 9 9000 ${device} /var/lib/mysql/\n`);
  const need = (files: number, database: number) => ({
    files: { ...facts.files!, bytes: files * MIB },
    database: { ...facts.database!, bytes: database * MIB },
  });

  it('is what the files take, twice what the dump does, and some to spare', () => {
    expect(() => expectRoom(need(100, 100), space(356, 456), 'web1')).not.toThrow();
    expect(() => expectRoom(need(101, 100), space(356, 456), 'web1')).toThrow(
      'The restore needs 357 MiB on web1 for /srv/chom, where 356 MiB are free',
    );
    expect(() => expectRoom(need(100, 101), space(356, 456), 'web1')).toThrow(
      'The restore needs 458 MiB on web1 for /var/lib/mysql/, where 456 MiB are free',
    );
  });

  it('is wanted once for both where they share a disk', () => {
    expect(() => expectRoom(need(100, 100), space(556, 556, '1'), 'web1')).not.toThrow();
    expect(() => expectRoom(need(100, 100), space(555, 555, '1'), 'web1')).toThrow('556 MiB');
  });

  it('is wanted for what is restored alone', () => {
    expect(() => expectRoom({ ...need(100, 100), files: null }, space(0, 456), 'web1')).not.toThrow();
    expect(() => expectRoom({ ...need(100, 100), database: null }, space(356, 0), 'web1')).not.toThrow();
  });

  it('to try a backup out is where the files lie, for a database of its own too', () => {
    const { files } = space(100 + 4 * 100 + 256 + 256, 0);
    expect(() => expectScratchRoom(need(100, 100), files, 'web1')).not.toThrow();
    expect(() => expectScratchRoom(need(101, 100), files, 'web1')).toThrow(
      'The verification needs 1013 MiB on web1 for /srv/chom, where 1012 MiB are free',
    );
    expect(() => expectScratchRoom({ ...need(756, 1), database: null }, files, 'web1')).not.toThrow();
  });

  it('is also that for another file', () => {
    expect(() => expectRoom(need(1, 1), space(999, 999, '2', '5000 1000'), 'web1')).toThrow('1015 files');
    // btrfs has no bound, and says 0.
    expect(() => expectRoom(need(1, 1), space(999, 999, '2', '0 0'), 'web1')).not.toThrow();
  });
});

describe('a dump on its way into a database', () => {
  const filter = (dump: string, way = 'import', events = '/dev/null') =>
    execFileSync('perl', ['-e', DUMP_FILTER, way, events], { input: dump, encoding: 'utf8' });
  const body = (text: string) => `DELIMITER ;;\n${text} ;;\nDELIMITER ;\n`;

  it.each([
    [
      'a view',
      '/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`a``b`@`%` SQL SECURITY DEFINER */\n/*!50001 VIEW `v` AS select 1 */;\n',
    ],
    [
      'a trigger',
      body(
        '/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 TRIGGER t BEFORE INSERT ON x FOR EACH ROW SET @a = 1 */',
      ),
    ],
    ['a procedure', body('CREATE DEFINER=`root`@`localhost` PROCEDURE `p`()\nSELECT 1')],
    [
      'a function made with ANSI_QUOTES',
      body('CREATE DEFINER="root"@"localhost" FUNCTION "f"() RETURNS int\nRETURN 1'),
    ],
    [
      'an event',
      body(
        '/*!50106 CREATE*/ /*!50117 DEFINER=`root`@`localhost`*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY ON COMPLETION NOT PRESERVE DISABLE DO SELECT 1 */',
      ),
    ],
    ['what is written by hand', "create or replace definer = 'root'@'localhost' view v as select 1;\n"],
  ])('loses the definer of %s, and nothing else', (_, text) => {
    expect(filter(text)).toBe(text.replace(/DEFINER\s*=\s*\S+?@("\w+"|'\w+'|`[^`]*`)\s*/i, ''));
  });

  it.each([
    [
      'a row',
      "INSERT INTO `t` VALUES\n(1,'CREATE DEFINER=`root`@`localhost` PROCEDURE'),\n(2,'\\nCREATE DEFINER=a@b VIEW');\n",
    ],
    ['a name', 'CREATE TABLE `a\nCREATE DEFINER=a@b VIEW` (id int);\n'],
    ['a comment', '/* \nCREATE DEFINER=`a`@`b` VIEW v;\n*/;\n'],
    ['the text of a routine', body("CREATE PROCEDURE p()\nBEGIN\nSELECT '\nCREATE DEFINER=`a`@`b` PROCEDURE x';\nEND")],
  ])('keeps what looks like one in %s', (_, text) => {
    expect(filter(text)).toBe(text);
  });

  it('disables its events, and enables those again that were', () => {
    const event = (name: string, status: string) =>
      body(
        `/*!50106 CREATE*/ /*!50106 EVENT ${name} ON SCHEDULE EVERY '1:30' HOUR_MINUTE STARTS '2026-01-01 00:00:00' ON COMPLETION PRESERVE ${status} COMMENT ' ENABLE ' DO SELECT ' ON COMPLETION PRESERVE ENABLE ' */`,
      );
    const all = (first: string, second: string) =>
      event('`a`', first) + event('`b`', 'DISABLE') + event('`c`', 'DISABLE ON SLAVE') + event('"d""`"', second);
    const directory = mkdtempSync(join(tmpdir(), 'chom-events-'));
    const events = join(directory, 'events');
    try {
      const imported = filter(all('ENABLE', 'ENABLE'), 'import', events);
      expect(imported).toBe(all('DISABLE', 'DISABLE'));
      expect(filter(imported, 'load', events)).toBe(all('ENABLE', 'ENABLE'));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('has the rows of versioned tables end where this server’s current ones do, and changes no other value', () => {
    const [old, now] = ['2038-01-19 03:14:07.999999', '2106-02-07 06:28:15.999999'];
    const dump = (end: string) => `CREATE TABLE \`kept\` (
  \`id\` int(11) NOT NULL
) ENGINE=InnoDB WITH SYSTEM VERSIONING;
INSERT INTO \`kept\` (\`id\`, \`text\`, row_start, row_end) VALUES (1,'one','2026-01-01 00:00:00.000000','2026-01-02 00:00:00.000000'),
(1,'(\\'${old}\\',\\'${now}\\')','2026-01-02 00:00:00.000000','${end}'),
(2,NULL,'2026-01-02 00:00:00.000000','${end}');
INSERT INTO \`kept\` VALUES
(3,'three','2026-01-02 00:00:00.000000','${end}');
CREATE TABLE \`plain\` (
  \`at\` datetime(6) NOT NULL
);
INSERT INTO \`plain\` VALUES
('${old}'),
('${now}');
`;
    const into = (last: string, text: string) =>
      execFileSync('perl', ['-e', DUMP_FILTER, 'import', '/dev/null', last], { input: text, encoding: 'utf8' });
    for (const made of [old, now]) {
      for (const last of [old, now]) expect(into(last, dump(made))).toBe(dump(last));
      expect(filter(dump(made))).toBe(dump(made));
    }
  });
});
