import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { serverFindings, type ExpectedServer } from '../../src/activities/server-findings.js';
import { siteFindings } from '../../src/activities/site-findings.js';
import { leaving, sitesLeft, withdrawMariadb, withdrawNginx } from '../../src/host/leave.js';
import { examineServer, parseServerExamination } from '../../src/host/server-examination.js';
import { examineSite, parseSiteExamination } from '../../src/host/site-examination.js';
import { makeSwap, removeSwap } from '../../src/host/swap.js';
import { configureUpdates, forgetUpdates } from '../../src/host/updates.js';

const well = `clock=1000
disk=/ 9000 45 /dev/vda1
inodes=/ 80
disk=/var 9000 45 /dev/vda1
inodes=/var 80
nginx=active
nginx=enabled
mariadb=active
php=sabcdefghi active
controller=me
stands=yes
firewall:
ssh=22
up=yes
updates:
every=1
swap:
memory=4096
container=none
free=9000
`;
const expected: ExpectedServer = {
  name: 'web1',
  controller: 'me',
  protection: { firewall: true, updates: true, swap: true, logrotate: true },
  php: [{ site: 'sabcdefghi', domain: 'a.test' }],
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
    ['sabcdefghi active', 'sabcdefghi', 'php', 'systemctl restart chom-php@sabcdefghi (on web1)'],
    ['controller=me', 'controller=you', 'claim', 'chom server adopt web1'],
    ['controller=me', 'controller=me\nmissing=rsync', 'packages', 'chom server add web1'],
    ['controller=me', 'controller=me\npending=nginx', 'leftovers', 'chom server add web1'],
    ['stands=yes\n', '', 'firewall', 'chom server add web1'],
    ['up=yes', 'up=yes\nother=ufw', 'firewall', 'chom server add web1'],
    ['up=yes', 'kept=yes\nother=nftables table ip filter', 'firewall', 'chom server add web1'],
    ['every=1', 'every=0', 'updates', 'chom server add web1'],
    ['memory=4096', 'memory=900', 'swap', 'chom server add web1'],
    ['memory=4096', 'memory=900\nswap=/var/lib/chom/swap', 'swap', 'chom server add web1'],
  ])('%j instead of %j is about %s', (is, becomes, check, next) => {
    expect(wrong(well.replace(is, becomes))).toMatchObject([{ name: check, next }]);
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

it('a site that lost its user gets it back by a command', () => {
  const site = { site: 'sabcdefghi', uid: 20_000, domain: 'a.test', server: 'web1', php: null };
  const hosted = { ...site, type: 'static', certificate: false, database: false } as const;
  const [first] = siteFindings(parseSiteExamination('user=\nversion=0123\n'), hosted);
  const wordpress = { ...hosted, type: 'wordpress', database: true } as const;
  const asked = 'background=chom-cron@sabcdefghi.timer\nversion=0123\n';
  const about = siteFindings(parseSiteExamination(asked), wordpress).map(({ name, state }) => `${name} ${state}`);
  expect(about).toEqual(expect.arrayContaining(['background wrong', 'database wrong']));
  expect(first).toMatchObject({ name: 'user', state: 'wrong', next: expect.stringContaining('useradd -u 20000') });
});

it('the scripts are scripts to the shell of a host', () => {
  const changes = [withdrawNginx(), withdrawMariadb(), makeSwap(), removeSwap(), configureUpdates(), forgetUpdates()];
  const all = changes.flatMap(({ check, act }) => [check, act]);
  const last = leaving(
    { controller: 'me', scope: 'server', root: 'r1', epoch: 1 },
    { user: 'root', key: 'ssh-ed25519 AAAA chom' },
  );
  for (const { script } of [examineServer(['rsync']), examineSite({ site: 'sabcdefghi' }), sitesLeft(), last, ...all]) {
    expect(execFileSync('dash', ['-n'], { input: script, encoding: 'utf8' })).toBe('');
  }
});
