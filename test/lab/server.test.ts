import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import * as credentials from '../../src/inventory/credentials.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import type { Finding } from '../../src/workflows/inspection.js';
import { hostTree } from './host-tree.js';
import { type Rig, startRig } from './rig.js';

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ hosts: [{ name: 'odd' }, { name: 'web1' }, { name: 'leaver', debian: 12 }], acme: true });
  await rig.startWorker();
});
afterAll(async () => await rig?.down());

const server = async (name: string) => await servers.byName(rig.inventory.db, 'default', name);
const siteId = async (domain: string) => (await rig.chom.must('site', 'show', domain, '--json')).json?.site?.id ?? '';

async function on(host: LabHost, script: string): Promise<string> {
  const { exit, stdout, stderr } = await host.exec(script);
  if (exit !== 0) throw new Error(`on ${host.name}: ${script}: exit ${exit}: ${stderr}`);
  return stdout.trim();
}

/** Whether somebody answers on a port from here, within so long. */
async function reaches({ address }: LabHost, port: number, timeout = 30_000): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout });
    const end = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket
      .once('connect', () => end(true))
      .once('error', () => end(false))
      .once('timeout', () => end(false));
  });
}

/** Whether somebody sends back what a UDP port is sent from here, within so long. It is sent again: UDP may lose it. */
async function echoes({ address }: LabHost, port: number, timeout = 30_000): Promise<boolean> {
  const socket = createSocket('udp4');
  return await new Promise<boolean>((resolve) => {
    const ask = () => socket.send('there?', port, address);
    const again = setInterval(ask, 200);
    const end = (answered: boolean) => {
      clearInterval(again);
      clearTimeout(given);
      resolve(answered);
    };
    const given = setTimeout(() => end(false), timeout);
    socket.on('message', () => end(true)).on('error', () => end(false));
    ask();
  }).finally(() => socket.close());
}

/** What a doctor says. */
async function examined(...words: string[]) {
  const { exit, json, stderr } = await rig.chom(...words, '--json');
  const findings = (json?.['checks'] ?? []) as Finding[];
  const wrong = findings.filter(({ state }) => state === 'wrong');
  return { exit, ok: json?.['ok'], findings, wrong, stderr, checks: wrong.map(({ name }) => name) };
}

const checkOf = async (name: string, check: string) =>
  (await examined('server', 'doctor', name)).findings.find((finding) => finding.name === check);

describe('a server that is set up as few are', () => {
  // A program that sends back what comes to any of its ports.
  const echo = `import select, socket, sys
own = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in sys.argv[1:]]
for one, port in zip(own, sys.argv[1:]): one.bind(("0.0.0.0", int(port)))
while True:
  for one in select.select(own, [], [])[0]: one.sendto(*one.recvfrom(99))`;
  const setUp = `useradd -m -s /bin/bash admin && echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin
install -d -m 700 -o admin /home/admin/.ssh && install -m 600 -o admin /root/.ssh/authorized_keys /home/admin/.ssh/
printf 'Port 2222\\nPermitRootLogin no\\nBanner /etc/motd\\n' >/etc/ssh/sshd_config.d/odd.conf
sed -i '1i echo noise on stdout; echo noise on stderr >&2; LC_ALL=tr_TR.UTF-8; export LC_ALL' /home/admin/.bashrc
echo 'Wartungsarbeiten am Sonntag: exit 1' >/etc/motd; echo 'cat /etc/motd' >/etc/profile.d/motd.sh
echo 'LANG=de_DE.UTF-8' >/etc/default/locale; echo 'LC_ALL=ar_SA.UTF-8' >>/etc/environment
ln -sf /usr/share/zoneinfo/Pacific/Chatham /etc/localtime
mount -t tmpfs -o noexec,nosuid,nodev tmpfs /tmp
sed 's/^MemTotal:.*/MemTotal:        1000000 kB/' /proc/meminfo >/run/meminfo && mount --bind /run/meminfo /proc/meminfo
systemd-run --quiet --unit=foreign -p DynamicUser=yes python3 -m http.server 8090
systemd-run --quiet --unit=game -p DynamicUser=yes python3 -c '${echo}' 50001
systemd-run --quiet --unit=resolver -p DynamicUser=yes python3 -c '${echo}' 5300 50002
systemctl stop ssh.socket 2>/dev/null; systemctl restart ssh`;

  test('is enrolled: port 2222, no root login, noise, noexec /tmp, foreign locale and time zone', async () => {
    const host = rig.lab.host('odd');
    await on(host, setUp);
    const login = ['--host', host.address, '--port', '2222', '--user', 'admin', '--key', host.keyFile];
    const { json } = await rig.chom.must('server', 'add', 'odd', ...login, '--host-key', host.hostKey, '--json');
    expect(json).toMatchObject({ status: 'succeeded', server: { status: 'active', port: 2222, user: 'admin' } });
    expect(json?.warnings).toEqual([
      expect.stringMatching(/^It has 976 MiB of memory and no swap: it is a container/),
      'The firewall leaves udp port 5300 open, which python3 serves',
      'The firewall leaves tcp port 8090 open, which python3 serves',
      'The firewall leaves udp port 50001 open, which python3 serves',
      "The firewall closes udp port 50002, which python3 has beside the one that it serves on: it is taken for a client's",
    ]);
    const rules = await on(host, 'nft list table inet chom');
    expect(rules).toContain('tcp dport { 80, 443, 2222, 8090 } accept');
    expect(rules).toContain('udp dport { 5300, 50001 } accept');
    await rig.replayed(json?.operation ?? '');
  });

  test('and takes a site with PHP', async () => {
    const host = rig.lab.host('odd');
    await rig.chom.must('site', 'create', 'odd.lab.test', '--server', 'odd', '--type', 'php', '--no-tls');
    const { body } = await rig.fetch('odd.lab.test', { address: host.address, https: false });
    expect(body).toContain('PHP runs');
  });

  test('is closed but for SSH, the web, and what others serve', async () => {
    const host = rig.lab.host('odd');
    await on(host, 'systemd-run --quiet --unit=later -p DynamicUser=yes python3 -m http.server 8091');
    await on(host, 'curl -s --retry 9 --retry-connrefused http://127.0.0.1:8091/ >/dev/null');
    const open = await Promise.all([80, 443, 2222, 8090].map((port) => reaches(host, port)));
    expect(open).toEqual([true, true, true, true]);
    expect(await reaches(host, 8091, 2000)).toBe(false);
    expect(await Promise.all([5300, 50_001].map((port) => echoes(host, port)))).toEqual([true, true]);
    expect(await echoes(host, 50_002, 2000)).toBe(false);
  });

  test('is left without a firewall of CHOM where somebody else has one', async () => {
    const host = rig.lab.host('odd');
    await rig.chom.must('server', 'add', 'odd', '--no-firewall', '--no-swap');
    expect(await on(host, 'nft list tables')).toBe('');
    await on(
      host,
      `cat >/run/theirs.nft <<'END'
table ip filter {
  chain INPUT {
    type filter hook input priority 0; policy accept;
    ct state established,related accept
    iif lo accept
    tcp dport { 80, 2222 } accept
    counter jump REFUSE
  }
  chain REFUSE {
    reject
  }
}
END
nft -f /run/theirs.nft`,
    );
    const before = await on(host, 'nft -s list ruleset');
    const { json } = await rig.chom.must('server', 'add', 'odd', '--firewall', '--json');
    expect(json?.warnings).toEqual([expect.stringContaining('nftables table ip filter filters on odd already')]);
    expect(await on(host, 'nft -s list ruleset')).toBe(before);
    expect(await checkOf('odd', 'firewall')).toMatchObject({ state: 'ok' });
  });

  test('loses its firewall of CHOM to one that came later, which the doctor tells', async () => {
    const host = rig.lab.host('odd');
    // What refuses an address or a port is none.
    const banned = 'table ip ban { chain in { type filter hook input priority -1; ip saddr 192.0.2.1 drop; }; }';
    await on(host, `nft flush ruleset && nft '${banned}'`);
    await rig.chom.must('server', 'add', 'odd');
    expect(await on(host, 'nft list tables')).toBe('table ip ban\ntable inet chom');
    expect(await checkOf('odd', 'firewall')).toMatchObject({ state: 'ok' });
    await on(host, 'nft -f /run/theirs.nft');
    expect(await checkOf('odd', 'firewall')).toMatchObject({
      state: 'wrong',
      message: "nftables table ip filter filters here, and CHOM's own firewall beside it",
      next: 'chom server add odd',
    });
    const { json } = await rig.chom.must('server', 'add', 'odd', '--json');
    expect(json?.warnings).toEqual([
      expect.stringMatching(
        /^nftables table ip filter filters on odd and is left in charge, and CHOM's own .* was taken/,
      ),
    ]);
    expect(await on(host, 'nft list tables')).toBe('table ip ban\ntable ip filter');
    expect(await on(host, 'systemctl list-unit-files --no-legend "chom-firewall*"; ls /etc/chom')).not.toContain(
      'firewall',
    );
    expect(await checkOf('odd', 'firewall')).toMatchObject({ state: 'ok' });
  });
});

describe('a firewall', () => {
  /** As if the new rules kept CHOM out: what lets nobody new in comes with them, once, and goes with them. */
  const lockOut = `cat >/run/foreign.nft <<'END'
table inet foreign { chain early { type filter hook prerouting priority -300; tcp dport 22 tcp flags & (syn | ack) == syn drop; }; }
END
cat >/usr/local/sbin/nft <<'END'
#!/bin/sh
/usr/sbin/nft "$@"
code=$?
case "$*" in
  '-f /var/lib/chom/firewall/candidate.nft') /usr/sbin/nft -f /run/foreign.nft ;;
  'delete table inet chom') /usr/sbin/nft delete table inet foreign; rm /usr/local/sbin/nft ;;
esac
exit "$code"
END
chmod 755 /usr/local/sbin/nft`;

  test('that keeps CHOM out is taken back by the server itself, and the next attempt has another go', async () => {
    const host = rig.lab.host('web1');
    await on(host, lockOut);
    const { json } = await rig.enrol(host);
    expect(json?.warnings).toEqual([]);
    const { steps } = await operations.byId(rig.inventory.db, json?.operation ?? '');
    expect(steps.find((step) => (step as { label: string }).label === 'Firewall')).toMatchObject({
      state: 'done',
      attempt: 2,
    });
    expect(await on(host, "journalctl -q -o cat -u chom-firewall-revert.service | grep -c '^Started'")).toBe('1');
    expect(await on(host, 'systemctl list-units --plain --no-legend "chom-firewall-revert*"')).toBe('');
  });

  test('and the rest come back with the next boot', async () => {
    const host = rig.lab.host('web1');
    const rules = await on(host, 'nft list ruleset');
    expect(rules).toContain('tcp dport { 22, 80, 443 } accept');
    await host.reboot();
    await host.waitUntilBooted();
    expect(await on(host, 'nft list ruleset')).toBe(rules);
    const dry = await on(host, 'unattended-upgrade --dry-run --debug 2>&1; apt-config dump | grep -i reboot');
    expect(dry).toMatch(/^Allowed origins are: .*Debian-Security/m);
    expect(dry).toContain('Unattended-Upgrade::Automatic-Reboot "false";');
    expect(await on(host, `mariadb -N -e 'select @@max_user_connections, @@tmpdir'`)).toBe('30\t/var/tmp');
  });
});

describe('the doctor', () => {
  /** Does what it says, where it says: each is one command. */
  async function mend(findings: Finding[]) {
    for (const next of new Set(findings.map((finding) => finding.next ?? ''))) {
      const [, command = '', name = ''] = /^(.*) \(on (.*)\)$/.exec(next) ?? [];
      if (name !== '') await on(rig.lab.host(name), command);
      else if (next.startsWith('chom ')) await rig.chom.must(...next.slice('chom '.length).split(' '));
    }
  }

  test('finds nothing wrong with a server and a site that are well', async () => {
    const host = rig.lab.host('web1');
    await rig.lab.acme.setAddress('www.lab.test', { a: [host.address] });
    await rig.lab.acme.setAddress('also.lab.test', { a: [host.address] });
    const create = ['site', 'create', 'www.lab.test', '--server', 'web1', '--type', 'php', '--alias', 'also.lab.test'];
    await rig.chom.must(...create);
    await rig.lab.acme.setAddress('shop.lab.test', { a: [host.address] });
    await rig.chom.must(...create.slice(0, 2), 'shop.lab.test', ...create.slice(3, 7), '--database', '--no-tls');
    for (const words of [
      ['server', 'doctor', 'web1'],
      ['site', 'doctor', 'www.lab.test'],
    ]) {
      const before = await hostTree(host, { times: true });
      expect(await examined(...words)).toMatchObject({ exit: 0, ok: true, wrong: [] });
      expect(await hostTree(host, { times: true })).toEqual(before);
    }
  });

  test('names each thing that is wrong with a server, and its commands mend them', async () => {
    const host = rig.lab.host('web1');
    const site = await siteId('www.lab.test');
    const job = `chom-${'0'.repeat(20)}`;
    await on(
      host,
      `systemctl stop mariadb chom-php@${site}
echo '# mine' >>/etc/nginx/chom.d/${site}.conf; rm /etc/logrotate.d/chom; echo 'max_connections = 9' >>/etc/mysql/mariadb.conf.d/60-chom.cnf
nft add rule inet chom input tcp dport 25 accept
dpkg --force-depends --remove rsync >/dev/null; systemctl disable -q nginx
systemctl stop apt-daily-upgrade.timer; rm /var/lib/chom/claims/server
cd /var/lib/chom/previous/nginx && mkdir pending pending/files pending/absent && echo chom.d/sgonegoneg.conf >pending/for
mkdir -p /var/lib/chom/jobs/${job}/a && echo a >/var/lib/chom/jobs/${job}/current && : >/var/lib/chom/jobs/${job}/a/started
systemd-run --quiet --unit=${job.replace('0', '1')} false; : >/run/reboot-required`,
    );
    const { exit, wrong, checks } = await examined('server', 'doctor', 'web1');
    expect(exit).toBe(1);
    expect(checks).toEqual([
      ...['packages', 'nginx', 'mariadb', 'php', 'units', 'files', 'files', 'files'],
      ...['leftovers', 'leftovers', 'claim', 'firewall', 'updates', 'restart'],
    ]);
    expect(wrong.filter(({ next }) => !next)).toEqual([]);
    await mend(wrong.filter(({ name }) => name !== 'restart'));
    await host.reboot();
    await host.waitUntilBooted();
    expect((await examined('server', 'doctor', 'web1')).wrong).toEqual([]);
  });

  test('names a clock that is off, a full disk, and a server that is another controller’s', async () => {
    const host = rig.lab.host('web1');
    // The clock of a host is this machine's: what its programs are told of it is moved.
    await on(
      host,
      `printf '#!/bin/sh\\n[ "$*" != +%%s ] || { echo $(($(/usr/bin/date +%%s) + 600)); exit; }\\nexec /usr/bin/date "$@"\\n' >/usr/local/sbin/date
chmod 755 /usr/local/sbin/date; sed -i.mine '1s/.*/elsewhere/' /var/lib/chom/claims/server`,
    );
    await host.fill();
    const { wrong, checks } = await examined('server', 'doctor', 'web1');
    await host.unfill();
    expect(checks).toEqual(['clock', 'disk', 'claim']);
    expect(wrong[0]).toMatchObject({ message: expect.stringMatching(/^The clock is (5[5-9].|600) s ahead$/) });
    expect(wrong[0]?.next).toBe('timedatectl set-ntp true (on web1)');
    expect(wrong[2]?.message).toContain('elsewhere');
    await on(host, 'rm /usr/local/sbin/date; cd /var/lib/chom/claims && mv server.mine server');
  });

  test('names each thing that is wrong with a site, and its commands mend them', async () => {
    const host = rig.lab.host('web1');
    const site = await siteId('www.lab.test');
    await on(
      host,
      `chmod 755 /srv/chom/${site}; chmod 644 "$(readlink -f /var/lib/chom/tls/${site}/key.pem)"; systemctl stop chom-php@${site}
echo 'PHP_VERSION=9.9' >/etc/chom/php/${site}/environment`,
    );
    await rig.lab.acme.setAddress('also.lab.test', { a: [rig.lab.host('odd').address] });
    const { exit, wrong, checks } = await examined('site', 'doctor', 'www.lab.test');
    expect(exit).toBe(1);
    expect(checks).toEqual(['directories', 'files', 'php', 'key', 'names', 'https']);
    expect(wrong.find(({ name }) => name === 'names')?.message).toContain('is not web1');
    await mend(wrong.filter(({ name }) => name !== 'https'));
    await rig.lab.acme.setAddress('also.lab.test', { a: [host.address] });
    expect((await examined('site', 'doctor', 'www.lab.test')).wrong).toEqual([]);
  });

  const pair = '/var/lib/chom/tls/SITE';
  const copies = '/var/lib/chom/previous';

  /** What is done to a site, and what is said of it; a site without TLS has a database. */
  describe.each<[string, string, string[]]>([
    ['shop.lab.test', 'mariadb -e "DROP DATABASE SITE"', ['database']],
    ['shop.lab.test', 'mariadb -e "REVOKE ALL PRIVILEGES ON SITE.* FROM SITE@localhost"', ['database']],
    ['shop.lab.test', 'mariadb -e "REVOKE DROP ON SITE.* FROM SITE@localhost"', ['database']],
    ['shop.lab.test', 'mariadb -e "DROP USER SITE@localhost"', ['database']],
    ['shop.lab.test', 'systemctl stop mariadb', ['database']],
    ['shop.lab.test', 'rm /etc/nginx/chom.d/SITE.conf; systemctl reload nginx', ['files']],
    [
      'shop.lab.test',
      `rm /etc/nginx/chom.d/SITE.conf ${copies}/nginx/published/chom.d/SITE.conf; systemctl reload nginx`,
      ['files'],
    ],
    ['shop.lab.test', 'systemctl stop nginx', ['nginx']],
    ['shop.lab.test', 'systemctl -q disable --now chom-php@SITE', ['php', 'http']],
    ['shop.lab.test', `rm -r /etc/chom/php/SITE ${copies}/php-SITE; systemctl stop chom-php@SITE`, ['php', 'http']],
    [
      'shop.lab.test',
      // usermod refuses while a process is still about to end.
      String.raw`sed -i -E 's/^(SITE:x:)[0-9]+:[0-9]+:/\129999:29999:/' /etc/passwd
sed -i -E 's/^(SITE:x:)[0-9]+:/\129999:/' /etc/group`,
      ['user', 'directories', 'directories', 'directories'],
    ],
    ['shop.lab.test', 'userdel -f SITE', ['user', 'directories', 'directories', 'directories']],
    ['shop.lab.test', 'rm -r /var/log/nginx/chom/SITE', ['directories']],
    ['www.lab.test', `rm -r ${pair}/pairs`, ['key']],
    ['www.lab.test', `rm ${pair}/key.pem; systemctl restart nginx || :`, ['nginx', 'key']],
    [
      'www.lab.test',
      `cd ${pair}/current && openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out fullchain.pem -days 90 \\
  -subj / -addext subjectAltName=DNS:www.lab.test,DNS:also.lab.test && chmod 600 key.pem && systemctl reload nginx`,
      ['certificate'],
    ],
  ])('of %s after %s', (domain, damage, expected) => {
    test(`says ${expected.join(', ')}, and its commands mend that`, async () => {
      const host = rig.lab.host('web1');
      await on(host, damage.replaceAll('SITE', await siteId(domain)));
      // What nginx is told by a signal takes effect a little later.
      await expect
        .poll(async () => (await examined('site', 'doctor', domain)).checks, { timeout: 120_000 })
        .toEqual(expected);
      const { wrong } = await examined('site', 'doctor', domain);
      // What a site answers is mended with what makes it answer.
      await mend(wrong.filter(({ name }) => name !== 'http'));
      await expect.poll(async () => (await examined('site', 'doctor', domain)).wrong, { timeout: 120_000 }).toEqual([]);
      expect((await examined('server', 'doctor', 'web1')).wrong).toEqual([]);
    });
  });

  test('names a certificate without which nginx does not start, from the server', async () => {
    const host = rig.lab.host('web1');
    const site = await siteId('www.lab.test');
    await on(host, `rm /var/lib/chom/tls/${site}/fullchain.pem; systemctl restart nginx || :`);
    const { wrong, checks } = await examined('server', 'doctor', 'web1');
    expect(checks).toEqual(['nginx', 'units']);
    expect(wrong.map(({ next }) => next)).toEqual([
      'chom site repair www.lab.test',
      'systemctl restart nginx.service (on web1)',
    ]);
    await mend(wrong);
    expect((await examined('server', 'doctor', 'web1')).wrong).toEqual([]);
    expect((await examined('site', 'doctor', 'www.lab.test')).wrong).toEqual([]);
    // The repair, with the certificate that it had issued.
    const [repair] = await operations.list(rig.inventory.db, { kind: 'repair-site', limit: 1 });
    expect(repair).toMatchObject({ outcome: 'succeeded', warnings: [] });
    await rig.replayed(repair?.id ?? '');
  });

  test('names the unit of PHP, from the server and from a site', async () => {
    const host = rig.lab.host('web1');
    await on(host, 'rm /etc/systemd/system/chom-php@.service; systemctl daemon-reload');
    for (const words of [
      ['server', 'doctor', 'web1'],
      ['site', 'doctor', 'shop.lab.test'],
    ]) {
      expect((await examined(...words)).wrong).toMatchObject([{ name: 'php', next: 'chom server add web1' }]);
    }
    await mend((await examined('server', 'doctor', 'web1')).wrong);
    expect((await examined('server', 'doctor', 'web1')).wrong).toEqual([]);
    expect((await examined('site', 'doctor', 'shop.lab.test')).wrong).toEqual([]);
  });

  test('a repair changes nothing where nothing is wrong, and its history goes on', async () => {
    const host = rig.lab.host('web1');
    const before = await hostTree(host, { times: true });
    const { json } = await rig.chom.must('site', 'repair', 'also.lab.test', '--json');
    expect(json).toMatchObject({ status: 'succeeded', warnings: [] });
    expect(await hostTree(host, { times: true })).toEqual(before);
    const emitted = await events.list(rig.inventory.db, { operation: json?.operation ?? '' });
    expect(emitted.map(({ type }) => type)).toEqual(['SiteRepaired']);
    await rig.replayed(json?.operation ?? '');
  });

  test('names what keeps CHOM out, and still looks at the site from outside', async () => {
    const host = rig.lab.host('web1');
    await on(host, 'mv /root/.ssh/authorized_keys /root/.ssh/aside');
    // A connection that is open goes on.
    await rig.killWorker();
    await rig.startWorker();
    const [one, two] = [await examined('server', 'doctor', 'web1'), await examined('site', 'doctor', 'www.lab.test')];
    await mend(one.wrong);
    const again = await examined('server', 'doctor', 'web1');
    expect(again.wrong).toEqual([]);
    await on(host, 'mv /root/.ssh/aside /root/.ssh/authorized_keys');
    expect(one).toMatchObject({ exit: 1, checks: ['login'] });
    // That its version could not be compared is nothing that is wrong with it.
    expect(two.checks).toEqual(['login']);
    expect(two.findings.find(({ name }) => name === 'certificate')).toMatchObject({ state: 'ok' });
  });
});

describe('a server that is to be removed', () => {
  test('whose clock is ten minutes ahead is not enrolled, and it is said why', async () => {
    const host = rig.lab.host('leaver');
    await on(
      host,
      `printf '#!/bin/sh\\n[ "$*" != +%%s ] || { echo $(($(/usr/bin/date +%%s) + 600)); exit; }\\nexec /usr/bin/date "$@"\\n' >/usr/local/sbin/date
chmod 755 /usr/local/sbin/date`,
    );
    const login = ['--host', host.address, '--key', host.keyFile, '--host-key', host.hostKey];
    const { exit, json, stderr } = await rig.chom('server', 'add', 'leaver', ...login, '--json');
    expect([exit, json?.error?.type]).toEqual([1, 'UnsupportedHost']);
    expect(json?.error?.message).toMatch(/^The clock of leaver is (5[5-9].|600) s ahead$/);
    expect(stderr).toContain('timedatectl set-ntp true (on leaver)');
    await on(host, 'rm /usr/local/sbin/date');
  });

  test('is as it was before it was enrolled, but for its packages, and can be enrolled again', async () => {
    const host = rig.lab.host('leaver');
    const before = await hostTree(host);
    const first = await rig.enrol(host);
    const { id } = await server('leaver');
    const [key] = await credentials.list(rig.inventory.db, id);
    const { json } = await rig.chom.must('server', 'remove', 'leaver', '--confirm', 'leaver', '--json');
    expect(json).toMatchObject({ status: 'succeeded', warnings: [], server: { status: 'removed' } });
    expect(await hostTree(host)).toEqual(before);
    expect(await on(host, 'cat /root/.ssh/authorized_keys')).not.toContain(key?.public);
    expect(
      await on(
        host,
        "nft list tables; ls -d /var/lib/chom /etc/chom /srv/chom 2>/dev/null; systemctl list-units --all --plain --no-legend 'chom*'",
      ),
    ).toBe('');
    expect(await credentials.list(rig.inventory.db, id)).toEqual([]);
    const emitted = await events.list(rig.inventory.db, { operation: json?.operation ?? '' });
    expect(emitted.map(({ type }) => type)).toEqual(['ServerRemoved']);
    await rig.replayed(json?.operation ?? '');
    const again = await rig.enrol(host);
    expect(again.json).toMatchObject({ status: 'succeeded', warnings: first.json?.warnings });
    expect((await server('leaver')).id).not.toBe(id);
  });

  test('is refused while sites are on it, without its name, and with --gone while it is there', async () => {
    const host = rig.lab.host('web1');
    const before = await hostTree(host, { times: true });
    const full = await rig.chom('server', 'remove', 'web1', '--confirm', 'web1', '--json');
    expect([full.exit, full.json?.error?.type]).toEqual([1, 'Conflict']);
    expect(full.stderr).toContain('www.lab.test');
    expect((await rig.chom('server', 'remove', 'web1', '--json')).exit).toBe(2);
    expect((await rig.chom('server', 'remove', 'web1', '--confirm', 'web2', '--json')).exit).toBe(2);
    const there = await rig.chom('server', 'remove', 'web1', '--confirm', 'web1', '--gone', '--json');
    expect([there.exit, there.json?.error?.type]).toEqual([1, 'Conflict']);
    expect((await server('web1')).status).toBe('active');
    expect(await hostTree(host, { times: true })).toEqual(before);
  });

  test('is forgotten with its sites, and with what was at work on it, once it no longer exists', async () => {
    await rig.lab.host('web1').powerOff();
    const stuck = await rig.chom(
      'site',
      'create',
      'stuck.lab.test',
      '--server',
      'web1',
      '--no-tls',
      '--detach',
      '--json',
    );
    const { id } = await server('web1');
    const reserved = async () => (await sites.list(rig.inventory.db)).some(({ domain }) => domain === 'stuck.lab.test');
    await expect.poll(reserved).toBe(true);
    const { json } = await rig.chom.must('server', 'remove', 'web1', '--confirm', 'web1', '--gone', '--json');
    expect(json?.warnings).toEqual([
      expect.stringMatching(/^Nothing was undone on web1: /),
      expect.stringContaining(`provision-site (${stuck.json?.operation}) was ended`),
      'Site shop.lab.test went with it',
      'Site stuck.lab.test went with it',
      'Site www.lab.test went with it',
    ]);
    expect(await places.list(rig.inventory.db, { server: id })).toEqual([]);
    expect((await rig.chom('server', 'show', 'web1')).exit).toBe(5);
    expect((await rig.chom('site', 'show', 'www.lab.test')).exit).toBe(5);
    const ended = await rig.chom('op', 'show', stuck.json?.operation ?? '', '--json');
    expect(ended.json).toMatchObject({ status: 'failed' });
  });
});
