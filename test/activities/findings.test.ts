import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { serverFindings, type ExpectedServer } from '../../src/activities/server-findings.js';
import { isServed, siteFindings } from '../../src/activities/site-findings.js';
import { leaving, sitesLeft, withdrawMariadb, withdrawNginx } from '../../src/host/leave.js';
import { examineServer, parseServerExamination } from '../../src/host/server-examination.js';
import { examineSite, parseSiteExamination } from '../../src/host/site-examination.js';
import { makeSwap, removeSwap } from '../../src/host/swap.js';
import { configureUpdates, forgetUpdates } from '../../src/host/updates.js';
import { wellServer } from './well-server.js';

const well = wellServer();
const expected: ExpectedServer = {
  name: 'web1',
  controller: 'me',
  protection: { firewall: true, updates: true, swap: true, logrotate: true },
  sites: [{ site: 'sabcdefghi', domain: 'a.test', php: true }],
  busy: false,
};
const wrong = (said: string, more: Partial<ExpectedServer> = {}) =>
  serverFindings(parseServerExamination(said), { ...expected, ...more }, 1_000_000).filter(
    ({ state }) => state === 'wrong',
  );

describe('a server', () => {
  it('that is well has nothing wrong', () => {
    expect(wrong(well)).toEqual([]);
  });

  it.each([
    ['clock=1000', 'clock=1601', 'clock', 'timedatectl set-ntp true (on web1)'],
    ['disk=/ 9000 45', 'disk=/ 90 1', 'disk', 'du -xhd 3 / | sort -h | tail (on web1)'],
    ['inodes=/ 80', 'inodes=/ 0', 'disk', 'du -xd 3 --inodes / | sort -n | tail (on web1)'],
    ['mariadb=active\n', '', 'mariadb', 'systemctl start mariadb (on web1)'],
    ['nginx=active\n', '', 'nginx', 'systemctl start nginx (on web1)'],
    ['nginx=active\n', 'nginx=active\ncomplaint=nginx: [emerg] x\n', 'nginx', 'nginx -t (on web1)'],
    ['nginx=active\n', 'complaint=cannot load "/tls/sabcdefghi/key.pem"\n', 'nginx', 'chom site repair a.test'],
    ['sabcdefghi active', 'sabcdefghi', 'php', 'chom site repair a.test'],
    ['phpunit=stands\n', '', 'php', 'chom server add web1'],
    ['controller=me', 'controller=you', 'claim', 'chom server adopt web1'],
    ['controller=me', 'controller=me\nmissing=rsync', 'packages', 'chom server add web1'],
    ['controller=me', 'failed=nginx.service\ncontroller=me', 'units', 'systemctl restart nginx.service (on web1)'],
    [
      'controller=me',
      'failed=chom-cron@sabcdefghi.service\ncontroller=me',
      'units',
      'journalctl -n 20 -u chom-cron@sabcdefghi.service (on web1)',
    ],
    ['controller=me', 'controller=me\npending=nginx', 'leftovers', 'chom server add web1'],
    ['controller=me', 'controller=me\npending=php-sabcdefghi', 'leftovers', 'chom site repair a.test'],
    ['stands=yes\n', '', 'firewall', 'chom server add web1'],
    ['up=yes', 'up=yes\nother=ufw', 'firewall', 'chom server add web1'],
    ['up=yes', 'kept=yes\nother=nftables table ip filter', 'firewall', 'chom server add web1'],
    ['every=1', 'every=0', 'updates', 'chom server add web1'],
    ['memory=4096', 'memory=900', 'swap', 'chom server add web1'],
    ['memory=4096', 'memory=900\nswap=/var/lib/chom/swap', 'swap', 'chom server add web1'],
    ['restic=0.18.0', 'restic=0.14.0', 'restic', 'chom server add web1'],
    ['restic=0.18.0\n', '', 'restic', 'chom server add web1'],
  ])('%j instead of %j is about %s', (is, becomes, check, next) => {
    expect(wrong(well.replace(is, becomes))).toMatchObject([{ name: check, next }]);
  });

  it('is told that it wants a restart, by the command that sees to it', () => {
    const found = wrong(well.replace('controller=me', 'controller=me\nreboot-required=yes'));
    expect(found).toMatchObject([{ name: 'restart', next: 'chom server reboot web1' }]);
  });

  it('is told of a load or a memory that one look tells nothing of, and nothing where it does not say', () => {
    const all = (said: string) => serverFindings(parseServerExamination(said), expected, 1_000_000);
    const strained = all(well.replace('load=0.50', 'load=8.10').replace('Available:2000', 'Available:100'));
    expect(strained.filter(({ state }) => state === 'unknown')).toMatchObject([
      { name: 'load', message: 'The load is 8.1 on 2 processors', counts: { checks: 3 } },
      { name: 'memory', message: '100 of 4000 MiB of memory are available, 1000 of 1000 MiB of swap' },
    ]);
    expect(all(well.replace('load=0.50\n', '')).filter(({ name }) => name === 'load')).toEqual([]);
  });

  it('has swap that lasts', () => {
    expect(wrong(well.replace('memory=4096', 'memory=900\nswap=/var/lib/chom/swap\nlasts=yes'))).toEqual([]);
  });

  it('is not told of a rotation that is not wanted', () => {
    const protection = { ...expected.protection!, logrotate: false };
    const all = serverFindings(parseServerExamination(well), { ...expected, protection }, 1_000_000);
    expect(all.find(({ name }) => name === 'logs')).toMatchObject({ state: 'ok' });
    expect(all.filter(({ state }) => state === 'wrong')).toEqual([]);
  });

  it('may have the firewall of somebody else alone', () => {
    expect(wrong(well.replace('stands=yes\n', '').replace('up=yes', 'other=firewalld'))).toEqual([]);
  });

  it('may do without protection, and be half-way while somebody is at work', () => {
    expect(wrong(well.replace('stands=yes\n', '').replace('every=1', ''), { protection: null })).toEqual([]);
    expect(wrong(well.replace('controller=me', 'controller=me\npending=nginx'), { busy: true })).toEqual([]);
  });
});

describe('a site', () => {
  const id = 'sabcdefghi';
  const hosted = { site: id, uid: 20_000, domain: 'a.test', server: 'web1', php: '8.4', type: 'wordpress' } as const;
  const has = { certificate: true, database: true, suspended: false };
  const root = `/srv/chom/${id}`;
  const served = `user=${id}:x:20000:20000:CHOM site:${root}:/usr/sbin/nologin
directory=/srv/chom 711 root root
directory=${root} 751 root root
directory=${root}/app 2750 ${id} www-data
directory=${root}/shared 2750 ${id} www-data
directory=${root}/tmp 700 ${id} ${id}
directory=/var/log/nginx/chom/${id} 751 root adm
version=0123
http=0123
https=0123
php=active
php=enabled
php=unit
php=socket
background=chom-cron@${id}.timer active
pair=matches
fingerprint=ab
pairmode=600
mariadb=active
database=reachable
database=made
tables=12
`;
  const amiss = (said: string) =>
    siteFindings(parseSiteExamination(said), { ...hosted, ...has }).filter(({ state }) => state === 'wrong');

  it('that is well has nothing wrong', () => {
    expect(amiss(served)).toEqual([]);
  });

  const repaired = 'chom site repair a.test';
  it.each([
    [`user=${id}:x:20000:20000:CHOM site:${root}:/usr/sbin/nologin`, 'user=', 'user', repaired],
    [':20000:20000:', ':1:20000:', 'user', `pkill -KILL -U ${id}; usermod -u 20000 ${id} && groupmod -g 20000 ${id}`],
    [`directory=${root} 751`, `directory=${root} 755`, 'directories', `install -d -m 751 -o root -g root ${root}`],
    ['version=0123', 'version=', 'files', repaired],
    ['http=0123\nhttps', 'http=\nhttps', 'nginx', repaired],
    ['https=0123', 'https=<html>', 'nginx', repaired],
    ['php=active\n', '', 'php', repaired],
    ['php=socket\n', '', 'php', repaired],
    ['php=enabled\n', '', 'php', repaired],
    ['php=unit\n', '', 'php', 'chom server add web1'],
    ['timer active', 'timer', 'background', repaired],
    ['pair=matches\nfingerprint=ab\npairmode=600\n', '', 'key', repaired],
    ['pair=matches\n', '', 'key', repaired],
    ['pairmode=600', 'pairmode=644', 'key', `chmod 600 /var/lib/chom/tls/${id}/key.pem`],
    ['mariadb=active\n', '', 'database', 'systemctl start mariadb'],
    ['database=reachable\ndatabase=made\ntables=12\n', '', 'database', repaired],
    ['database=reachable\ndatabase=made', 'database=ERROR 1044 (42000): Access denied', 'database', repaired],
    ['database=reachable', 'database=ERROR 1040 (08004): Too many', 'database', 'systemctl restart mariadb'],
    ['database=made\n', '', 'database', repaired],
    ['tables=12', 'tables=0', 'database', `mariadb ${id} <FILE`],
  ])('%j instead of %j is about %s', (is, becomes, check, next) => {
    expect(served).toContain(is);
    const here = next.startsWith('chom ') ? next : `${next} (on web1)`;
    expect(amiss(served.replace(is, becomes))).toMatchObject([{ name: check, next: here }]);
  });

  it('is served where the server itself answers with the version of its file', () => {
    const expects = { ...hosted, ...has };
    expect(isServed(parseSiteExamination(served), expects)).toBe(true);
    const plain = parseSiteExamination(served.replace('https=0123', 'https='));
    expect(isServed(plain, expects)).toBe(false);
    expect(isServed(plain, { ...expects, certificate: false })).toBe(true);
    expect(isServed(parseSiteExamination('version=\nhttp=\nhttps=\n'), expects)).toBe(false);
  });
});

it('the scripts are scripts to the shell of a host', () => {
  const changes = [withdrawNginx(), withdrawMariadb(), makeSwap(), removeSwap(), configureUpdates(), forgetUpdates()];
  const all = changes.flatMap(({ check, act }) => [check, act]);
  const last = leaving(
    { controller: 'me', scope: 'server', root: 'r1', epoch: 1 },
    { user: 'root', keys: ['ssh-ed25519 AAAA chom'] },
  );
  for (const { script } of [
    examineServer(['rsync']),
    examineSite({ site: 'sabcdefghi', domain: 'a.test' }),
    sitesLeft(),
    last,
    ...all,
  ]) {
    expect(execFileSync('dash', ['-n'], { input: script, encoding: 'utf8' })).toBe('');
  }
});
