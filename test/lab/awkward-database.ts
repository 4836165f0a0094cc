import type { LabHost } from '../../lab/index.js';
import type { MadeBackup } from '../../src/host/backup-result.js';
import { paths } from '../../src/host/paths.js';
import { sh } from '../../src/host/shell.js';
import type { BackedUp } from './backup-site.js';
import { ask } from './on-host.js';

/** SQL of a database that holds what a dump, or whoever reads along with it, could stumble over. */
export const AWKWARD = String.raw`
CREATE TABLE plain (id INT PRIMARY KEY AUTO_INCREMENT, text LONGTEXT, raw LONGBLOB, at TIMESTAMP NULL, flag BIT(3));
INSERT INTO plain (text) VALUES ('a\nb'), ('),('), (');\nINSERT INTO "plain" VALUES\n(1);\n'), ('it''s "quoted" \\'),
  ('\r\n\0\Z\t'), ('DELIMITER ;;\nCREATE TABLE y;\n'), ('\n-- Dump completed\n'), ('🙂 日本 ä'), (''), (NULL), ('\\\n\\'), ('\\''\n(');
INSERT INTO plain (raw) VALUES (UNHEX('00FF0A2728293B0D0A5C27')), (REPEAT('x\n', 700000)), ('');
INSERT INTO plain (flag, at) VALUES (b'101', '2001-02-03 04:05:06');
INSERT INTO plain (text) SELECT CONCAT('row\n', seq, ''';') FROM seq_1_to_5000;
CREATE TABLE empty (id INT);
CREATE TABLE keyless (a INT, b TEXT) ENGINE=InnoDB;
INSERT INTO keyless VALUES (1, 'same'), (1, 'same'), (NULL, NULL);
CREATE TABLE "odd ""name"" ' -- \ ;" ("a ""column""" INT, "line
break" INT) COMMENT='two
lines; ''quoted''';
INSERT INTO "odd ""name"" ' -- \ ;" VALUES (1, 2);
CREATE TABLE "line
INSERT INTO nothing VALUES" (id INT);
INSERT INTO "line
INSERT INTO nothing VALUES" VALUES (1), (2);
CREATE TABLE "tick${'`'}ed" (id INT);
INSERT INTO "tick${'`'}ed" VALUES (1), (2), (3);
CREATE TABLE latin (name VARCHAR(20)) CHARACTER SET latin1;
INSERT INTO latin VALUES ('ä\n'), ('ß');
CREATE TABLE computed (a INT, b INT AS (a * 2) VIRTUAL, c INT AS (a + 1) STORED, d INT INVISIBLE DEFAULT 7);
INSERT INTO computed (a) VALUES (1), (2);
CREATE TABLE parent (id INT PRIMARY KEY);
CREATE TABLE child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parent (id));
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (1, 1);
CREATE TABLE parts (id INT) PARTITION BY HASH (id) PARTITIONS 3;
INSERT INTO parts SELECT seq FROM seq_1_to_100;
CREATE TABLE aria (id INT PRIMARY KEY, text TEXT) ENGINE=Aria;
INSERT INTO aria VALUES (1, 'a'), (2, 'b');
CREATE TABLE myisam (id INT, text TEXT) ENGINE=MyISAM;
INSERT INTO myisam VALUES (1, 'a');
CREATE TABLE merged (id INT, text TEXT) ENGINE=MERGE UNION=(myisam);
CREATE TABLE kept (id INT PRIMARY KEY, text TEXT) WITH SYSTEM VERSIONING;
INSERT INTO kept VALUES (1, 'one'), (2, 'two');
UPDATE kept SET text = 'uno' WHERE id = 1;
DELETE FROM kept WHERE id = 2;
CREATE TABLE json (doc JSON, place POINT, u UUID, ip INET6);
INSERT INTO json VALUES ('{"a": "),(\\n"}', POINT(1, 2), UUID(), '::1');
CREATE SEQUENCE numbers START WITH 42;
CREATE VIEW seen AS SELECT id, CONCAT(text, '; -- '' /* ') AS shown FROM plain;
CREATE VIEW seen_again AS SELECT * FROM seen;
CREATE TRIGGER marks BEFORE INSERT ON parent FOR EACH ROW SET NEW.id = NEW.id + 0;
CREATE OR REPLACE TRIGGER "odd trigger" AFTER INSERT ON parent FOR EACH ROW INSERT INTO empty VALUES (1);
CREATE EVENT tidy ON SCHEDULE EVERY 1 DAY DO DELETE FROM empty;
SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES';
CREATE FUNCTION path() RETURNS TEXT DETERMINISTIC RETURN 'C:\';
SET SESSION sql_mode = 'ANSI_QUOTES';
DELIMITER //
CREATE PROCEDURE says(OUT n INT)
BEGIN
  /* CREATE TABLE "not a table" (id INT); */
  SELECT '
INSERT INTO "plain" VALUES
(1);
CREATE TABLE x (id INT);
' INTO @x;
  SELECT COUNT(*) INTO n FROM plain;
END//
CREATE AGGREGATE FUNCTION total(x INT) RETURNS INT
BEGIN
  DECLARE sum INT DEFAULT 0;
  DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN sum;
  LOOP
    FETCH GROUP NEXT ROW;
    SET sum = sum + x;
  END LOOP;
END//
DELIMITER ;
`;

/** How many rows its tables hold, counted by the database; with the earlier ones of what keeps them. */
function countRows(database: string): string {
  return `SELECT GROUP_CONCAT('SELECT ''', HEX(TABLE_NAME), ''', COUNT(*) FROM \`', REPLACE(TABLE_NAME, '\`', '\`\`'), '\`',
  IF(TABLE_TYPE = 'SYSTEM VERSIONED', ' FOR SYSTEM_TIME ALL', '') SEPARATOR ' UNION ALL ') INTO @counts
FROM information_schema.TABLES
WHERE TABLE_SCHEMA = '${database}' AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND ENGINE <> 'MRG_MyISAM';
PREPARE counting FROM @counts;
EXECUTE counting;`;
}

/** What its manifest must name. */
export const AWKWARD_CONTENTS = {
  ...{ views: ['seen', 'seen_again'], sequences: ['numbers'], triggers: ['marks', 'odd trigger'] },
  ...{ procedures: ['says'], functions: ['path', 'total'], events: ['tidy'] },
};

interface Contents {
  tables: { name: string; rows: number | null }[];
}

/** Rows by table, as lines: of the database, of the manifest of its backup, and of what was made from its dump. */
export interface Counts {
  counted: string[];
  dumped: string[];
  restored: string[];
  contents: Contents;
  backup: MadeBackup;
}

/** Fills the site's database, backs it up with the worst of sql_mode, and reads the dump into another. */
export async function backUpAwkward(machine: LabHost, site: BackedUp): Promise<Counts> {
  await site.sql(AWKWARD, `--init-command=SET sql_mode = 'ANSI_QUOTES'`, '--default-character-set=utf8mb4');
  await ask(machine, sh`mariadb -e "SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'"`);
  const backup = await site.backUp({ kind: 'database' });
  await ask(machine, sh`mariadb -e 'SET GLOBAL sql_mode = DEFAULT'`);
  const [dump, manifest] = backup.snapshots;
  const { contents } = JSON.parse(await site.restic('dump', manifest!.id, '/manifest.json')) as { contents: Contents };
  const { sha256, bytes } = backup.facts.database!;
  const again = `${site.site}r`;
  const restored = await ask(
    machine,
    sh`mariadb -e ${`CREATE DATABASE ${again}`}
RESTIC_PASSWORD=lab ${paths.restic} --no-cache -r ${site.access.url} dump ${dump!.id} /database.sql >/root/dump.sql
[ "$(sha256sum </root/dump.sql) $(stat -c %s /root/dump.sql)" = ${`${sha256}  - ${bytes}`} ] || exit 1
mariadb --default-character-set=utf8mb4 ${again} </root/dump.sql || exit 1
printf %s ${countRows(again)} | mariadb -N -B ${again}
mariadb -e ${`DROP DATABASE ${again}`}; rm /root/dump.sql`,
  );
  return {
    ...{ backup, contents, restored: lines(restored), counted: lines(await site.sql(countRows(site.site))) },
    dumped: contents.tables
      .filter((one) => one.rows !== null)
      .map(({ name, rows }) => `${Buffer.from(name).toString('hex').toUpperCase()}\t${rows}`)
      .sort(),
  };
}

function lines(text: string): string[] {
  return text.trimEnd().split('\n').sort();
}
