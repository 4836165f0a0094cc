import type { LabHost } from '../../lab/index.js';

/** What CHOM may change on a host, beside its own records of jobs, claims, locks and used uids. */
const PLACES = '/etc /srv /usr/local /opt /root /home /var/lib/chom /var/spool/cron /var/log/nginx';
/** Copies that the tools for users keep of what was before, and logs that grow by themselves. */
const PASSING = '-name "*-" -o -name "*.log" -o -name .pwd.lock -o -name .updated -o -path /etc/mtab';
const RECORDS = '/var/lib/chom/jobs /var/lib/chom/claims /var/lib/chom/locks /var/lib/chom/uids';

/**
 * Everything of a host that a change could leave behind: files with mode, owner, target and content, users, units,
 * processes of sites (but where PHP runs for one: its workers come and go by themselves), packages, databases and their users. `times`: also when each file was written last.
 */
export async function hostTree(host: LabHost, { times = false } = {}): Promise<string[]> {
  const pruned = RECORDS.split(' ').map((path) => `-path ${path} -prune`);
  const chosen = `find ${PLACES} ${pruned.join(' -o ')} -o \\( ${PASSING} \\) -o`;
  const { exit, stdout, stderr } = await host.exec(`
${chosen} -type d -printf '%p %M %u:%g\\n' 2>/dev/null | sort
${chosen} ! -type d -printf '%p %M %u:%g %l${times ? ' %T@' : ''}\\n' 2>/dev/null | sort
${chosen} -type f -print0 2>/dev/null | sort -z | xargs -0 -r sha256sum
systemctl list-unit-files --no-legend --plain 'chom*' 'nginx*' 'php[0-9]*' 'mariadb*'
systemctl list-units --no-legend --plain --type=service 'chom-php*' 'nginx*' 'php[0-9]*' 'mariadb*' | awk '{ print "unit", $1, $3, $4 }'
ls /run/chom-php 2>/dev/null
ps -eo user= | sort -u | grep -E '^s[a-z2-7]{9}$' | while read -r site; do systemctl -q is-active "chom-php@$site" || echo "$site"; done
dpkg-query -W -f '\${Package} \${Status}\\n' | sha256sum
if command -v mariadb >/dev/null; then mariadb -N -e 'show databases; select user, host, plugin from mysql.user order by 1, 2'; fi
true`);
  if (exit !== 0) throw new Error(`on ${host.name}: ${stderr}`);
  return stdout.split('\n');
}

/** So many connections sshd has noted, logins or not. */
export async function sshConnections(host: LabHost): Promise<number> {
  const { stdout } = await host.exec('journalctl --sync; journalctl -q -o cat -t sshd -t sshd-session | wc -l');
  return Number(stdout);
}
