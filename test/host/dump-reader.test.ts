import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { DUMP_CHECKER } from '../../src/host/dump-checker.js';
import { DUMP_READER } from '../../src/host/dump-reader.js';
import { RESTIC_WATCHER } from '../../src/host/restic-watcher.js';

const DUMP = String.raw`/*M!999999\- enable the sandbox mode */
-- MariaDB dump 10.20-11.8.9-MariaDB
/*!40101 SET NAMES utf8mb4 */;
-- Sequence structure for ~numbers~
CREATE SEQUENCE ~numbers~ start with 42 ENGINE=InnoDB;
CREATE TABLE ~a
INSERT INTO nothing VALUES~ (
  ~id~ int(11) COMMENT 'it''s; \' -- /* "'
) ENGINE=InnoDB;
INSERT INTO ~a
INSERT INTO nothing VALUES~ VALUES
(1,'),\n('),
(2,';\n');
INSERT INTO ~a
INSERT INTO nothing VALUES~ VALUES
(3,NULL);
/*!40000 ALTER TABLE ~a
INSERT INTO nothing VALUES~ ENABLE KEYS */;
CREATE TABLE ~tick~~ed~ (~x)~ int);
INSERT INTO ~tick~~ed~ (~x)~, ~y~, row_start) VALUES (1,2,3),
(4,5,6);
CREATE TABLE ~empty~ (~id~ int);
/*!50001 CREATE VIEW ~v~ AS SELECT
 NULL AS ~id~ */;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER="a TRIGGER b"@"localhost"*/ /*!50003 TRIGGER marks BEFORE INSERT ON a FOR EACH ROW SET @x = '
CREATE TABLE ~not a table~ (id INT);
INSERT INTO ~a~ VALUES
(1);
\' */;;
DELIMITER ;
DELIMITER ;;
CREATE DEFINER=~root~@~localhost~ AGGREGATE FUNCTION ~total~(x INT) RETURNS int
BEGIN END ;;
DELIMITER ;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=~root~@~localhost~ SQL SECURITY DEFINER */
/*!50001 VIEW ~v~ AS select 'a;
INSERT INTO ~x~ VALUES' AS ~id~ */;
-- Dump completed
`.replaceAll('~', '`');

/** What the reader makes of a dump that comes in pieces of so many bytes. */
function read(dump: string, bytes: number): { rows: string[]; held: string[]; rest: string } {
  const program = `use strict; use warnings;${DUMP_READER}
while (read STDIN, my $piece, ${bytes}) { take($piece) }
print map { "$_\\0" } (map { "$_=$rows{$_}" } sort keys %rows), '', (sort keys %held), '', "$trailer $mode $statement$rest" . ($unknown // '');`;
  const said = execFileSync('perl', ['-e', program], { input: dump, encoding: 'utf8' }).slice(0, -1);
  const [rows = '', held = '', rest = ''] = said.split('\0\0');
  return { rows: rows.split('\0'), held: held.split('\0'), rest };
}

describe('the reader of a dump', () => {
  it('counts rows and what a dump holds, in whatever pieces it comes', () => {
    for (const bytes of [1, 2, 3, 7, 61, 100_000]) {
      expect(read(DUMP, bytes), `pieces of ${bytes}`).toEqual({
        rows: ['a\nINSERT INTO nothing VALUES=3', 'tick`ed=2'],
        held: [
          ...['function 5', 'sequence numbers', 'table a\nINSERT INTO nothing VALUES', 'table empty', 'table tick`ed'],
          ...['trigger 4', 'view v'],
        ],
        rest: '1 top ',
      });
    }
  });

  it('sees no end where there is none, and says what it does not know', () => {
    expect(read(DUMP.replace('-- Dump completed\n', ''), 100).rest).toBe('0 top ');
    expect(read(`${DUMP}CREATE TABLE \`late\` (id int);\n`, 100).rest).toBe('0 top ');
    expect(read(DUMP.slice(0, DUMP.indexOf('(2,')), 100).rest).toMatch(/^0 data/);
    expect(read(DUMP.replace('(2,', ' (2,'), 100).rest).toContain(' (2,');
    expect(read(`${DUMP}INSERT  INTO a VALUES (1);\n`, 100).rest).toContain('INSERT  INTO');
  });
});

describe('the programs in Perl', () => {
  it('are such, and need no more than perl-base', () => {
    for (const program of [DUMP_CHECKER, RESTIC_WATCHER]) {
      expect(execFileSync('perl', ['-c', '-'], { input: program, encoding: 'utf8', stdio: 'pipe' })).toBe('');
      for (const [, used] of program.matchAll(/^use (\w+)/gm)) expect(['strict', 'warnings', 'POSIX']).toContain(used);
    }
  });
});
