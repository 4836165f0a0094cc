import { createHash } from 'node:crypto';
import { EXIT } from './exit-codes.js';
import type { Listener } from './firewall-facts.js';
import { paths } from './paths.js';
import { serviceLock } from './service-lock.js';
import { join, sh, type Script, writeFile } from './shell.js';

/** What stays reachable from outside: SSH where it is entered now, the web, and what others serve already. */
export interface Openings {
  /** Ports of sshd. */
  ssh: readonly number[];
  others: readonly Listener[];
}

/** A set of rules and the name of a chain without rules by which the kernel says that it has loaded exactly these. */
export interface Ruleset {
  text: string;
  mark: string;
}

const FILE = paths.firewall;
const UNIT = 'chom-firewall.service';
const REVERT = 'chom-firewall-revert';
const STATE = `${paths.state}/firewall`;
const CANDIDATE = `${STATE}/candidate.nft`;
/** As the kernel lists what was put up, so that a change by somebody else is noticed. */
const LISTING = `${STATE}/listing`;
/** The proof is a login, which may take 15 s; and they are gone when the next attempt begins, 30 s later. */
const REVERT_SECONDS = 25;

/**
 * The table `inet chom`; no other is touched. Loading it replaces the one before in one transaction, so that at no
 * moment there is none. What is not in it reaches the server: outgoing connections, forwarding and other tables.
 */
export function rulesOf({ ssh, others }: Openings): Ruleset {
  const tcp = portSet([...ssh, 80, 443, ...portsOf(others, 'tcp')]);
  const udp = portSet(portsOf(others, 'udp'));
  const rules = (mark: string) => `# Written by CHOM: changes made here are replaced.
table inet chom
delete table inet chom
table inet chom {
	chain ${mark} {
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
		tcp dport { ${tcp} } accept
${udp === '' ? '' : `\t\tudp dport { ${udp} } accept\n`}	}
}
`;
  const mark = `v_${createHash('sha256').update(rules('v')).digest('hex').slice(0, 16)}`;
  return { text: rules(mark), mark };
}

/** Exit 0 when these rules are up, were proven, are what was listed then, and come back with the next boot. */
export function firewallStands({ text }: Ruleset): Script {
  return sh`printf %s ${text} | cmp -s - ${FILE} && ${unchanged()}`;
}

/** A command: whether the rules that were kept last are up as they were listed then, and come back with the next boot. */
export function unchanged(): Script {
  const unit = `/etc/systemd/system/${UNIT}`;
  return sh`printf %s ${unitFile()} | cmp -s - ${unit} && systemctl -q is-enabled ${UNIT} 2>/dev/null &&
  ! systemctl -q is-active ${`${REVERT}.timer`} && nft -s list table inet chom 2>/dev/null | cmp -s - ${LISTING}`;
}

/**
 * Puts the rules up for a trial: before they are loaded a timer of the server's own is set that takes them back, to the
 * kept rules or to none, unless `keepFirewall` stops it. Nothing of it survives a boot. Exit codes: rejected, lockTimeout.
 */
export function tryFirewall(rules: Ruleset, seconds = REVERT_SECONDS): { check: Script; act: Script } {
  const back = sh`if [ -e ${FILE} ]; then nft -f ${FILE}; else nft delete table inet chom; fi`;
  return {
    check: firewallStands(rules),
    act: sh`umask 077
${serviceLock('firewall')}
install -d -m 0700 ${STATE} || exit 1
${writeFile({ path: CANDIDATE, content: rules.text, mode: '0600' })} || exit 1
nft -c -f ${CANDIDATE} || { echo 'nft refuses the rules of the firewall' >&2; exit ${EXIT.rejected}; }
systemctl stop ${`${REVERT}.timer`} ${`${REVERT}.service`} 2>/dev/null
systemctl reset-failed ${`${REVERT}.service`} 2>/dev/null
systemd-run --quiet --collect --unit=${REVERT} --on-active=${seconds} --timer-property=AccuracySec=1s \
  --description='chom: takes the firewall back unless CHOM still gets in' /bin/sh -c ${back.script} || exit 1
nft -f ${CANDIDATE} || { ${back}; echo 'the kernel refuses the rules of the firewall' >&2; exit ${EXIT.rejected}; }`,
  };
}

/**
 * Keeps the rules that are up, now that they were seen to let CHOM in, and stops the timer. Should it go off meanwhile,
 * it loads the file, which is already the new one. Exit codes: notServed (they were taken back), lockTimeout.
 */
export function keepFirewall(rules: Ruleset): { check: Script; act: Script } {
  return {
    check: firewallStands(rules),
    act: sh`umask 022
${serviceLock('firewall')}
nft list chain inet chom ${rules.mark} >/dev/null 2>&1 || {
  echo 'the firewall was taken back before it was seen that CHOM still gets in' >&2
  exit ${EXIT.notServed}
}
install -d -m 0755 /etc/chom || exit 1
${writeFile({ path: FILE, content: rules.text, mode: '0644' })} || exit 1
${writeFile({ path: `/etc/systemd/system/${UNIT}`, content: unitFile(), mode: '0644' })} || exit 1
systemctl daemon-reload && systemctl -q enable ${UNIT} || exit 1
systemctl stop ${`${REVERT}.timer`} ${`${REVERT}.service`} 2>/dev/null
systemctl restart ${UNIT} || exit 1
nft -s list table inet chom >${LISTING} || exit 1
rm -f ${CANDIDATE}`,
  };
}

/** Takes CHOM's own table down for good. That there is none is no error. */
export function lowerFirewall(): { check: Script; act: Script } {
  const files = [FILE, `/etc/systemd/system/${UNIT}`, STATE];
  return {
    check: join([
      ...files.map((file) => sh`[ ! -e ${file} ] || exit 1`),
      sh`! nft list table inet chom >/dev/null 2>&1`,
    ]),
    act: sh`${serviceLock('firewall')}
systemctl stop ${`${REVERT}.timer`} ${`${REVERT}.service`} 2>/dev/null
systemctl -q disable --now ${UNIT} 2>/dev/null
rm -rf ${files} || exit 1
systemctl daemon-reload
if nft list table inet chom >/dev/null 2>&1; then nft delete table inet chom; fi`,
  };
}

/** After the server's own nftables.service, whose file begins by forgetting all tables. */
function unitFile(): string {
  return `# Written by CHOM: changes made here are replaced.
[Unit]
Description=Firewall of CHOM
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
After=nftables.service local-fs.target
Conflicts=shutdown.target
ConditionPathExists=${FILE}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f ${FILE}

[Install]
WantedBy=sysinit.target
`;
}

function portsOf(listeners: readonly Listener[], protocol: Listener['protocol']): number[] {
  return listeners.filter((one) => one.protocol === protocol).map(({ port }) => port);
}

function portSet(ports: readonly number[]): string {
  return [...new Set(ports)].toSorted((a, b) => a - b).join(', ');
}
