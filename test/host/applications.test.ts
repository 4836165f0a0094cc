import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { startBackground, stopBackground } from '../../src/host/background.js';
import { laravelBackground, migrateLaravel, prepareLaravel, whoseEnvironment } from '../../src/host/laravel.js';
import { configureMail, mailFile } from '../../src/host/mail.js';
import type { Script } from '../../src/host/shell.js';
import { forgetApplication, installWordpress, wordpressBackground } from '../../src/host/wordpress.js';
import { configuration } from '../../src/host/wordpress-php.js';
import { OWN_MEMORY } from '../../src/host/sandbox.js';

const site = { site: 'sabcdefghi', domain: 'example.org', tls: true, version: '8.4' } as const;
const wordpress = { ...site, title: `A's "B" $C`, adminUser: 'anna', adminEmail: 'anna@example.org' };
const background = [...wordpressBackground(site), ...laravelBackground(site)];

/** The text of a unit that a script writes. */
function unit({ script }: Script, name: string): string {
  const text = script.toString();
  const end = text.indexOf(`.${name}.new`);
  return text.slice(text.lastIndexOf('printf %s', end), end);
}

describe('the scripts', () => {
  it('are scripts to the shell of a host', () => {
    const all = [
      installWordpress(wordpress),
      forgetApplication(site.site),
      prepareLaravel(site),
      migrateLaravel(site),
      startBackground(site.site, background),
      stopBackground(site.site),
      configureMail('mail.example.org:25'),
      configureMail(null),
    ];
    for (const { script } of [...all.flatMap(({ check, act }) => [check, act]), whoseEnvironment(site.site)]) {
      expect(execFileSync('dash', ['-n'], { input: script, encoding: 'utf8' })).toBe('');
    }
  });
});

describe('what a site does in the background', () => {
  const { act } = startBackground(site.site, background);

  it('runs as the site, and sees no other', () => {
    for (const name of ['chom-cron@sabcdefghi.service', 'chom-queue@sabcdefghi.service']) {
      const lines = unit(act, name).split('\n');
      for (const line of [
        'User=sabcdefghi',
        `TemporaryFileSystem=/srv:ro ${OWN_MEMORY}`,
        'NoNewPrivileges=yes',
        'UMask=0027',
      ]) {
        expect(lines).toContain(line);
      }
    }
  });

  it('has a timer, or always runs', () => {
    expect(unit(act, 'chom-cron@sabcdefghi.timer')).toContain('OnCalendar=*:0/5\n');
    expect(unit(act, 'chom-scheduler@sabcdefghi.timer')).toContain('OnCalendar=*-*-* *:*:00\n');
    expect(unit(act, 'chom-queue@sabcdefghi.service')).toContain('Restart=always\n');
    expect(unit(act, 'chom-queue@sabcdefghi.timer')).toBe('');
    const last = act.script.toString().split('\n').at(-1);
    expect(last).toContain(
      `'chom-cron@sabcdefghi.timer' 'chom-scheduler@sabcdefghi.timer' 'chom-queue@sabcdefghi.service'`,
    );
  });

  it('is given as words that systemd neither splits nor fills in', () => {
    const odd = [{ name: 'queue', description: 'x', command: ['/bin/echo', 'a "b" $HOME %i \\'] }] as const;
    const text = unit(startBackground(site.site, odd).act, 'chom-queue@sabcdefghi.service');
    expect(text).toContain(`ExecStart="/bin/echo" "a \\"b\\" $$HOME %%i \\\\"\n`);
  });
});

describe('wp-config.php', () => {
  it('is PHP, and holds no secret before the server adds its keys', () => {
    const text = configuration(site).join('');
    expect(text).toContain("define('DB_PASSWORD', '');");
    expect(text).toContain("define('DISALLOW_FILE_EDIT', true);");
    expect(text).toContain("define('DISABLE_WP_CRON', true);");
    expect(text).not.toMatch(/KEY|SALT/);
  });
});

describe('the relay of a server’s mail', () => {
  it.each([
    ['mail.example.org:25', 'host mail.example.org\nport 25\n', 'tls off'],
    ['mail.example.org:587', 'host mail.example.org\nport 587\n', 'tls on'],
    ['[2001:db8::1]:465', 'host 2001:db8::1\nport 465\n', 'tls on\ntls_starttls off'],
  ])('%s', (relay, place, tls) => {
    expect(mailFile(relay)).toContain(place);
    expect(mailFile(relay)).toContain(`\n${tls}\n\n`);
  });
});
