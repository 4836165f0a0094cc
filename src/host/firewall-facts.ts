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
  /** Firewalls of others that filter what comes in. */
  others: string[];
  /** Ports of sshd, the one of this very connection among them. */
  ssh: number[];
  listeners: Listener[];
  /** CHOM's own table is loaded. */
  up: boolean;
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
if grep -qsx 'ENABLED=yes' /etc/ufw/ufw.conf; then echo other=ufw; fi
if systemctl -q is-active firewalld; then echo other=firewalld; fi
# A base chain that has rules, or drops; fail2ban only adds to what others let in.
nft list ruleset 2>/dev/null | awk '
  /^table / { table = $2 " " $3; next }
  /^\tchain / { inside = 0; next }
  /^\t\ttype .* hook input / { inside = 1; if (/policy drop/) print "other=nftables table " table; next }
  inside && /^\t\t[^ \t]/ { print "other=nftables table " table; inside = 0 }
' | grep -v -e ' inet chom$' -e ' f2b-table$' | sort -u
if iptables-legacy -S INPUT 2>/dev/null | grep -qvx -e '-P INPUT ACCEPT'; then echo other=iptables; fi
echo "ephemeral=$(cut -f 1 /proc/sys/net/ipv4/ip_local_port_range)"
ss -Hltunp | sed 's/^/listen=/'`;
}

/** Reads the output of `askFirewall`. */
export function parseFirewall(output: string): FirewallFacts {
  const values = (name: string) =>
    output.split('\n').flatMap((line) => (line.startsWith(`${name}=`) ? [line.slice(name.length + 1)] : []));
  const ephemeral = Number(values('ephemeral')[0] ?? 32_768);
  const public_ = values('listen').flatMap((line) => listenerOf(line));
  const ssh = public_.filter(({ program }) => program === 'sshd').map(({ port }) => port);
  const isSsh = new Set([...values('ssh').map(Number), ...ssh]);
  const listeners = public_.filter(
    ({ protocol, port, program }) =>
      !(protocol === 'tcp' && (isSsh.has(port) || port === 80 || port === 443)) &&
      // What a program is answered on for a moment, and the DHCP clients' own ports, which the rules know.
      !(protocol === 'udp' && ((port >= ephemeral && program !== '') || port === 68 || port === 546)),
  );
  return {
    unusable: values('unusable')[0] ?? null,
    others: [...new Set(values('other'))],
    ssh: [...isSsh].toSorted((a, b) => a - b),
    listeners: unique(listeners),
    up: values('up').includes('yes'),
  };
}

/** A line of `ss -Hltunp`; none for one that only the server itself reaches. */
function listenerOf(line: string): Listener[] {
  const [protocol = '', , , , local = '', , users = ''] = line.trim().split(/\s+/);
  const [, address = '', port = ''] = /^(.*):(\d+)$/.exec(local) ?? [];
  if ((protocol !== 'tcp' && protocol !== 'udp') || port === '') return [];
  if (/^(127\.|\[::1\]|\[::ffff:127\.)/.test(address) || address.endsWith('%lo')) return [];
  const [, program = ''] = /\(\("([^"]*)"/.exec(users) ?? [];
  return [{ protocol, port: Number(port), program }];
}

/** The same port over IPv4 and IPv6 is one. */
function unique(listeners: Listener[]): Listener[] {
  const known = new Map(listeners.map((one) => [`${one.protocol}/${one.port}`, one]));
  return [...known.values()].toSorted((a, b) => a.port - b.port || a.protocol.localeCompare(b.protocol));
}
