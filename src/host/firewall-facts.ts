import { paths } from './paths.js';
import { sh, type Script } from './shell.js';

/** A port on which a program that is not CHOM's waits for the outside. */
export interface Listener {
  protocol: 'tcp' | 'udp';
  port: number;
  /** As `ss` names it; empty for the kernel's own, WireGuard for example. */
  program: string;
}

/** What a server says before a firewall is put up. */
export interface FirewallFacts {
  /** Why the kernel or the container lets nobody filter; null where it does. */
  unusable: string | null;
  /** Firewalls of others that filter what comes in now: installed, or enabled and not loaded, they are none. */
  others: string[];
  /** Ports of sshd, the one of this very connection among them. */
  ssh: number[];
  listeners: Listener[];
  /** UDP ports that are open to the world and taken for those of clients: the rules close them. */
  clients: Listener[];
  /** CHOM's own table is loaded. */
  up: boolean;
  /** CHOM's own rules are kept, and come with the next boot. */
  kept: boolean;
}

/**
 * Prints what `parseFirewall` reads; changes nothing. The port of this connection is asked of the login it came by:
 * sshd may listen on others, and a router in front of it on yet another one.
 */
export function askFirewall(): Script {
  return sh`export LC_ALL=C
pid=$$
while [ "$pid" -gt 1 ]; do
  port=$(tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | sed -n 's/^SSH_CONNECTION=[^ ]* [^ ]* [^ ]* //p')
  if [ -n "$port" ]; then echo "ssh=$port"; break; fi
  pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null)
  [ -n "$pid" ] || break
done
said=$(nft list tables 2>&1) || echo "unusable=$(echo "$said" | tail -n 1)"
if nft list table inet chom >/dev/null 2>&1; then echo up=yes; fi
if [ -e ${paths.firewall} ]; then echo kept=yes; fi
# Removed, ufw leaves its settings behind; that its rules are loaded only it knows.
if grep -qsx 'ENABLED=yes' /etc/ufw/ufw.conf && ufw status 2>/dev/null | grep -qx 'Status: active'; then echo other=ufw; fi
if systemctl -q is-active firewalld; then echo other=firewalld; fi
nft -t list ruleset 2>/dev/null | ${closingTables()} | sed 's/^/other=nftables table /'
if iptables-legacy -S INPUT 2>/dev/null | grep -qE '^-P INPUT DROP|^-A INPUT -j (DROP|REJECT)'; then echo other=iptables; fi
echo "ephemeral=$(cut -f 1 /proc/sys/net/ipv4/ip_local_port_range)"
ss -Hltunp | sed 's/^/listen=/'`;
}

/**
 * Of a ruleset on its input (`nft -t list ruleset`), prints the tables that close what they do not open: whose input
 * drops by policy, or comes to a rule that refuses without looking. What refuses certain addresses or ports alone
 * (fail2ban, a list of the administrator's) is no firewall in charge, and bears one of CHOM's beside it.
 */
export function closingTables(): Script {
  return sh`awk '
  function closed(chain, all, count, n) {
    if (chain in closes) return 1
    if (seen[chain]++) return 0
    count = split(leads[chain], all, ",")
    for (n = 2; n <= count; n++) if (closed(all[n])) return 1
    return 0
  }
  /^table / { table = $2 " " $3; next }
  /^\tchain / { chain = table "/" $2; next }
  /^\t\ttype .* hook input / { base[chain] = table; if (/policy drop/) closes[chain]; next }
  /^\t\t[^ \t]/ {
    rule = substr($0, 3)
    gsub(/counter packets [0-9]+ bytes [0-9]+ ?/, "", rule)
    gsub(/ ?comment "[^"]*"/, "", rule)
    gsub(/log (prefix "[^"]*" )?(level [a-z]+ )?/, "", rule)
    gsub(/iif(name)? != "lo" |meta (nfproto|l4proto) [a-z0-9]+ |ip protocol [a-z]+ /, "", rule)
    if (rule ~ /^(drop|reject|reject with .*|xt target "REJECT")$/) closes[chain]
    sub(/^iif(name)? "[^"]*" /, "", rule)
    if (rule ~ /^(jump|goto) [^ ]+$/) { sub(/^[a-z]+ /, "", rule); leads[chain] = leads[chain] "," table "/" rule }
  }
  END { for (chain in base) if (base[chain] != "inet chom" && closed(chain)) print base[chain] }
' | sort -u`;
}

/** Reads the output of `askFirewall`. */
export function parseFirewall(output: string): FirewallFacts {
  const values = (name: string) =>
    output.split('\n').flatMap((line) => (line.startsWith(`${name}=`) ? [line.slice(name.length + 1)] : []));
  const ephemeral = Number(values('ephemeral')[0] ?? 32_768);
  const sockets = values('listen').flatMap((line) => socketOf(line));
  const public_ = sockets.filter(({ outside }) => outside);
  const managers = values('other').filter((name) => name === 'ufw' || name === 'firewalld');
  const ssh = public_.filter(({ program }) => program === 'sshd').map(({ port }) => port);
  const isSsh = new Set([...values('ssh').map(Number), ...ssh]);
  const others = public_.filter(({ protocol, port, program }) =>
    protocol === 'tcp' ? !(isSsh.has(port) || port === 80 || port === 443) : !KNOWN.has(port) && program !== TIMESYNCD,
  );
  const isClient = (socket: Socket) => socket.port >= ephemeral && asksFrom(socket, sockets, ephemeral);
  const ofDhcp = new Set(sockets.flatMap(({ port, pids }) => (KNOWN.has(port) ? pids : [])));
  const clients = others.filter((socket) => isClient(socket) && !socket.pids.some((pid) => ofDhcp.has(pid)));
  return {
    unusable: values('unusable')[0] ?? null,
    // The tables that are seen beside them are theirs.
    others: [...new Set(managers.length > 0 ? managers : values('other'))],
    ssh: [...isSsh].toSorted((a, b) => a - b),
    listeners: unique(others.filter((socket) => !isClient(socket))),
    clients: unique(clients),
    up: values('up').includes('yes'),
    kept: values('kept').includes('yes'),
  };
}

/** The DHCP clients' own ports, which the rules know. */
const KNOWN = new Set([68, 546]);
/** Asks for the time from a port that the kernel gave it, and serves nobody. */
const TIMESYNCD = 'systemd-timesyn';

interface Socket extends Listener {
  /** More than the server itself reaches it. */
  outside: boolean;
  /** Of the processes that have it; none for the kernel's own. */
  pids: string[];
}

/**
 * Whether a UDP socket, on a port of the range from which the kernel gives one to whoever asks for any, is there to be
 * answered on. Nothing says it: a client that is not connected looks like a server. It is taken for a client's where the
 * same process has another port, below, which is what it serves on or is known by: a resolver, avahi. What has no other
 * serves on that one: a game, mosh, a tunnel, the kernel's own WireGuard.
 */
function asksFrom({ protocol, pids }: Socket, all: readonly Socket[], ephemeral: number): boolean {
  if (protocol !== 'udp') return false;
  return all.some(
    (other) => other.protocol === 'udp' && other.port < ephemeral && other.pids.some((pid) => pids.includes(pid)),
  );
}

/** A line of `ss -Hltunp`. */
function socketOf(line: string): Socket[] {
  const [protocol = '', , , , local = '', , users = ''] = line.trim().split(/\s+/);
  const [, address = '', port = ''] = /^(.*):(\d+)$/.exec(local) ?? [];
  if ((protocol !== 'tcp' && protocol !== 'udp') || port === '') return [];
  const outside = !/^(127\.|\[::1\]|\[::ffff:127\.)/.test(address) && !address.endsWith('%lo');
  const [, program = ''] = /\(\("([^"]*)"/.exec(users) ?? [];
  const pids = [...users.matchAll(/pid=(\d+)/g)].map(([, pid = '']) => pid);
  return [{ protocol, port: Number(port), program, outside, pids }];
}

/** The same port over IPv4 and IPv6 is one. */
function unique(listeners: readonly Listener[]): Listener[] {
  const known = new Map(
    listeners.map(({ protocol, port, program }) => [`${protocol}/${port}`, { protocol, port, program }]),
  );
  return [...known.values()].toSorted((a, b) => a.port - b.port || a.protocol.localeCompare(b.protocol));
}
