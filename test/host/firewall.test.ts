import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { keepFirewall, lowerFirewall, rulesOf, tryFirewall } from '../../src/host/firewall.js';
import { askFirewall, closingTables, parseFirewall } from '../../src/host/firewall-facts.js';

const facts = [
  'ssh=2222',
  'ephemeral=32768',
  'listen=udp   UNCONN 0      0          127.0.0.1:323       0.0.0.0:*    users:(("chronyd",pid=1,fd=5))',
  'listen=udp   UNCONN 0      0            0.0.0.0:68        0.0.0.0:*    users:(("dhclient",pid=2,fd=7))',
  'listen=udp   UNCONN 0      0          127.0.0.1:53        0.0.0.0:*    users:(("named",pid=3,fd=6))',
  'listen=udp   UNCONN 0      0            0.0.0.0:41234     0.0.0.0:*    users:(("named",pid=3,fd=7))',
  'listen=udp   UNCONN 0      0            0.0.0.0:51820     0.0.0.0:*',
  'listen=tcp   LISTEN 0      128          0.0.0.0:22        0.0.0.0:*    users:(("sshd",pid=4,fd=3))',
  'listen=tcp   LISTEN 0      511          0.0.0.0:80        0.0.0.0:*    users:(("nginx",pid=5,fd=6),("nginx",pid=6,fd=6))',
  'listen=tcp   LISTEN 0      100          0.0.0.0:25        0.0.0.0:*    users:(("master",pid=7,fd=13))',
  'listen=tcp   LISTEN 0      100             [::]:25           [::]:*    users:(("master",pid=7,fd=14))',
  'listen=tcp   LISTEN 0      100            [::1]:3306         [::]:*    users:(("mariadbd",pid=8,fd=14))',
  'listen=tcp   LISTEN 0      100   127.0.0.53%lo:53         0.0.0.0:*    users:(("systemd-resolve",pid=9,fd=14))',
].join('\n');

describe('what a server says of its firewall', () => {
  it('is read: sshd’s ports with the one in use, and what others serve to the outside', () => {
    expect(parseFirewall(facts)).toEqual({
      unusable: null,
      others: [],
      ssh: [22, 2222],
      listeners: [
        { protocol: 'tcp', port: 25, program: 'master' },
        { protocol: 'udp', port: 51_820, program: '' },
      ],
      clients: [{ protocol: 'udp', port: 41_234, program: 'named' }],
      up: false,
      kept: false,
    });
    const said = 'unusable=Operation not permitted\nother=nftables table ip filter\nother=ufw\nup=yes\nkept=yes\n';
    expect(parseFirewall(said)).toMatchObject({
      unusable: 'Operation not permitted',
      // Whose tables are seen beside it.
      others: ['ufw'],
      up: true,
      kept: true,
    });
  });

  // As ss prints them.
  it.each([
    ['a server that has no other port', ['0.0.0.0:50001 0.0.0.0:* users:(("mosh-server",pid=649,fd=3))'], [50_001], []],
    ['one that waits on all addresses of IPv6', ['*:50002 *:* users:(("python3",pid=649,fd=4))'], [50_002], []],
    ['one that only the server itself reaches', ['[::1]:50003 *:* users:(("python3",pid=649,fd=4))'], [], []],
    ['the kernel’s WireGuard', ['0.0.0.0:51820 0.0.0.0:*', '[::]:51820 [::]:*'], [51_820], []],
    ['a clock that is set', ['0.0.0.0:46327 0.0.0.0:* users:(("systemd-timesyn",pid=312,fd=16))'], [], []],
    [
      'avahi, that answers on its own',
      [
        '0.0.0.0:5353 0.0.0.0:* users:(("avahi-daemon",pid=500,fd=12))',
        '0.0.0.0:38911 0.0.0.0:* users:(("avahi-daemon",pid=500,fd=14))',
      ],
      [5353],
      [38_911],
    ],
    [
      'two of one name, of which one serves',
      [
        '0.0.0.0:27015 0.0.0.0:* users:(("game",pid=700,fd=3))',
        '0.0.0.0:40001 0.0.0.0:* users:(("game",pid=701,fd=3))',
      ],
      [27_015, 40_001],
      [],
    ],
    [
      'a DHCP client',
      [
        '0.0.0.0:68 0.0.0.0:* users:(("dhclient",pid=2,fd=7))',
        '0.0.0.0:39877 0.0.0.0:* users:(("dhclient",pid=2,fd=20))',
      ],
      [],
      [],
    ],
  ])('of UDP ports that the kernel gives to clients: %s', (_, sockets, open, closed) => {
    const found = parseFirewall(sockets.map((socket) => `listen=udp UNCONN 0 0 ${socket}`).join('\n'));
    expect([found.listeners, found.clients].map((all) => all.map(({ port }) => port))).toEqual([open, closed]);
  });
});

describe('a ruleset of others', () => {
  const input = (policy: string, ...rules: string[]) => `table ip filter {
\tchain INPUT {
\t\ttype filter hook input priority filter; ${[policy, ...rules].join('\n\t\t')}
\t}

\tchain OTHER {
\t\tip saddr 192.0.2.1 counter packets 3 bytes 180 drop
\t\tcounter packets 7 bytes 420 jump LAST
\t}

\tchain LAST {
\t\tlog prefix "no: " level info drop
\t}

\tchain BANNED {
\t\tip saddr 192.0.2.1 counter packets 0 bytes 0 reject with icmp port-unreachable
\t\tcounter packets 0 bytes 0 return
\t}
}
`;
  const closing = (listing: string) =>
    execFileSync('sh', ['-c', closingTables().script.toString()], { input: listing, encoding: 'utf8' }).trim();

  it.each<[string, string, ...string[]]>([
    ['by policy', 'policy drop;', 'ct state established,related accept'],
    ['by its last rule', 'policy accept;', 'tcp dport 22 accept', 'counter packets 0 bytes 0 drop'],
    ['by refusing', 'policy accept;', 'iif "lo" accept', 'reject with icmpx admin-prohibited'],
    ['by all but loopback', 'policy accept;', 'tcp dport 22 accept', 'iif != "lo" drop'],
    ['in a chain behind a chain', 'policy accept;', 'counter packets 9 bytes 540 jump OTHER'],
    ['on one interface', 'policy accept;', 'iifname "eth0" goto OTHER'],
    ['as iptables lists it', 'policy accept;', 'counter packets 0 bytes 0 xt target "REJECT"'],
  ])('is a firewall where it closes %s', (_, policy, ...rules) => {
    expect(closing(input(policy, ...rules))).toBe('ip filter');
  });

  it.each<[string, string, ...string[]]>([
    ['nothing', 'policy accept;'],
    ['one port', 'policy accept;', 'tcp dport 25 drop'],
    ['one address', 'policy accept;', 'ip saddr 192.0.2.7 counter packets 0 bytes 0 drop'],
    ['what is invalid', 'policy accept;', 'ct state invalid drop'],
    ['whom fail2ban banned', 'policy accept;', 'meta l4proto tcp tcp dport 22 counter packets 2 bytes 120 jump BANNED'],
    ['whom a chain of its own bans', 'policy accept;', 'counter packets 2 bytes 120 jump BANNED'],
    ['who is on a list, by a chain that closes', 'policy accept;', 'ip saddr @banned jump LAST'],
    // ufw after it was disabled: its chains are there, and empty.
    ['nothing, in a chain that is empty', 'policy accept;', 'counter packets 5 bytes 300 jump ufw-before-input'],
  ])('is none where it closes %s', (_, policy, ...rules) => {
    expect(closing(input(policy, ...rules))).toBe('');
  });

  it('is not that of CHOM, nor one that filters what goes through', () => {
    const rules = rulesOf({ ssh: [22], others: [] }).text.replace(/[^]*?(?=table inet chom \{)/, '');
    const through = input('policy drop;').replace('hook input', 'hook forward');
    expect(closing(rules + through)).toBe('');
  });
});

describe('the rules', () => {
  const { ssh, listeners } = parseFirewall(facts);

  it('are this text, named by its hash', () => {
    expect(rulesOf({ ssh, others: listeners })).toMatchInlineSnapshot(`
      {
        "mark": "v_74f6321eb45a907a",
        "text": "# Written by CHOM: changes made here are replaced.
      table inet chom
      delete table inet chom
      table inet chom {
      	chain v_74f6321eb45a907a {
      	}

      	chain input {
      		type filter hook input priority filter; policy drop;
      		ct state established,related accept
      		ct state invalid drop
      		iif "lo" accept
      		meta l4proto { icmp, ipv6-icmp } accept
      		# Leases are renewed by answers that belong to no connection (RFC 2131, RFC 8415).
      		udp sport 67 udp dport 68 accept
      		ip6 saddr fe80::/10 udp dport 546 accept
      		tcp dport { 22, 25, 80, 443, 2222 } accept
      		udp dport { 51820 } accept
      	}
      }
      ",
      }
    `);
  });

  it('are others for other ports, and what nft understands', () => {
    const [one, two] = [rulesOf({ ssh: [22], others: [] }), rulesOf({ ssh: [2222], others: [] })];
    expect(one.mark).not.toBe(two.mark);
    expect(one.text).toContain('tcp dport { 22, 80, 443 } accept');
    expect(one.text).not.toContain('udp dport {');
  });

  it('come and go by scripts to the shell of a host', () => {
    const rules = rulesOf({ ssh: [22], others: [] });
    const all = [tryFirewall(rules), keepFirewall(rules), lowerFirewall()].flatMap(({ check, act }) => [check, act]);
    for (const { script } of [askFirewall(), ...all]) {
      expect(execFileSync('dash', ['-n'], { input: script, encoding: 'utf8' })).toBe('');
    }
  });
});
