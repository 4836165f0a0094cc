import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { createDatabase, dropDatabase, emptyDatabase } from '../../src/host/database.js';

const SITE = 'sabcdefghi';
const made = createDatabase(SITE);
const dropped = dropDatabase(SITE);

describe('the database of a site', () => {
  it('is made by scripts to the shell of a host', () => {
    for (const { script } of [made.check, made.act, dropped.check, dropped.act, emptyDatabase(SITE)]) {
      expect(execFileSync('dash', ['-n'], { input: script, encoding: 'utf8' })).toBe('');
    }
  });

  it('is opened by the socket alone, and to its own user alone', () => {
    const text = made.act.script.toString();
    expect(text).toContain('IDENTIFIED VIA unix_socket WITH MAX_USER_CONNECTIONS 20');
    expect(text).toContain(`GRANT ALL PRIVILEGES ON \`${SITE}\`.* TO `);
    // In a GRANT, `_` and `%` stand for other characters too.
    expect(text.match(/GRANT ALL[^;]*;/g)?.join('')).not.toMatch(/[_%]/);
    expect(text).not.toContain('IDENTIFIED BY');
  });

  it('is looked for before it is made, and marked as ours in between', () => {
    const text = made.act.script.toString();
    const [found, marked, granted] = ['UNION ALL', `sites/${SITE}.database.new`, 'GRANT ALL'].map((word) =>
      text.lastIndexOf(word),
    );
    expect(found).toBeGreaterThan(0);
    expect(text.indexOf(`/var/lib/chom/sites/.${SITE}.database.new`)).toBeGreaterThan(found ?? 0);
    expect(granted).toBeGreaterThan(marked ?? 0);
  });

  it('is never dropped or emptied without the mark', () => {
    const [first] = dropped.act.script.toString().split('\n');
    expect(first).toBe(`[ -e '/var/lib/chom/sites/${SITE}.database' ] || exit 0`);
    expect(emptyDatabase(SITE).script.toString()).toMatch(
      new RegExp(`^\\{ \\[ -e '/var/lib/chom/sites/${SITE}.database' \\] && mariadb -e `),
    );
  });
});
