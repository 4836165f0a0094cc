import { paths } from './paths.js';
import { publish } from './publish.js';
import { join, sh, type Script } from './shell.js';

/**
 * One site must not take all connections (151) from the others: its PHP has ten processes, cron and shells come on top.
 * The limit does not bind root, who is needed to end what went wrong.
 */
const USER_CONNECTIONS = 30;
/** Debian 13 keeps /tmp in memory: a large sort or ALTER TABLE would take that from the sites. */
const TEMPORARY = '/var/tmp';

/**
 * systemd may wait on every address on MariaDB's behalf, whatever `bind-address` says: Debian 12's package brings these,
 * and a first boot with presets turns them on (seen on Debian 12).
 */
const SOCKETS = ['mariadb.socket', 'mariadb-extra.socket'];

/** The settings of a MariaDB that serves only this server's own sites. */
export function mariadbFile(): string {
  return `# Written by CHOM: changes made here are replaced.
[mysqld]
bind-address = 127.0.0.1
local_infile = 0
max_user_connections = ${USER_CONNECTIONS}
tmpdir = ${TEMPORARY}
`;
}

/** What a server's MariaDB holds that CHOM must not touch. */
export interface MariadbFacts {
  /** CHOM installed it, or it holds no database of anybody's. */
  ours: boolean;
  /** `@@bind_address` */
  bindAddress: string;
  /** `@@local_infile` */
  localInfile: boolean;
}

/** Prints what `parseMariadb` reads. Root logs in by the socket, as Debian sets it up, without a password. */
export function askMariadb(): Script {
  return sh`export LC_ALL=C
systemctl -q is-active mariadb || systemctl start mariadb || exit 1
if [ -e ${`${paths.installed}/mariadb`} ]; then echo installed=yes; fi
settings=$(mariadb -N -B -e "SELECT CONCAT('bind=', @@bind_address), CONCAT('infile=', @@local_infile)") || exit 1
echo "$settings" | tr '\t' '\n'
mariadb -N -B -e "SELECT CONCAT('foreign=', schema_name) FROM information_schema.schemata
  WHERE schema_name NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema', 'test')
  AND schema_name NOT REGEXP '^s[a-z2-7]{9}(-[no][0-9a-f]{10})?$'"`;
}

export function parseMariadb(output: string): MariadbFacts {
  const all = output.split('\n');
  const value = (name: string) => all.find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1);
  return {
    ours: value('installed') === 'yes' || value('foreign') === undefined,
    bindAddress: value('bind') ?? '',
    localInfile: value('infile') !== '0',
  };
}

/**
 * Binds MariaDB to loopback, also where systemd waits for it, forbids reading the client's files, bounds what one user
 * takes, and drops the accounts without a name and the `test` database that a stock installation has. Root's login by socket is left alone: a password would disable it. Only for
 * a MariaDB that is ours; a restart happens only where a setting changes. Exit codes of `publish`.
 */
export function configureMariadb(): { check: Script; act: Script } {
  const wanted = ['127.0.0.1', 0, USER_CONNECTIONS, TEMPORARY].join('\t');
  const settings = sh`[ "$(mariadb -N -B -e 'SELECT @@bind_address, @@local_infile, @@max_user_connections, @@tmpdir')" = ${wanted} ]`;
  const stock = sh`mariadb -N -B -e "SELECT 1 FROM mysql.global_priv WHERE User = ''
  UNION ALL SELECT 1 FROM information_schema.schemata WHERE schema_name = 'test' AND NOT EXISTS
  (SELECT 1 FROM information_schema.tables WHERE table_schema = 'test')"`;
  const waits = sh`for socket in ${SOCKETS}; do
  if systemctl -q is-enabled "$socket" 2>/dev/null || systemctl -q is-active "$socket"; then echo "$socket"; fi
done`;
  const { check, act } = publish({
    service: 'mariadb',
    lock: 'mariadb',
    tree: paths.mariadb,
    // What systemd had opened the running server keeps until it is started anew.
    before: sh`sockets=$(${waits})
if [ -n "$sockets" ]; then
  { echo "$sockets" >>${paths.mariadbSockets} && systemctl disable --quiet --now $sockets && systemctl restart mariadb; } || exit 1
fi`,
    changes: [{ path: 'mariadb.conf.d/60-chom.cnf', text: mariadbFile() }],
    test: sh`mariadbd --verbose --help 2>&1 >/dev/null`,
    // MariaDB reads its files at a start alone.
    apply: sh`systemctl restart mariadb`,
    served: settings,
    after: sh`mariadb -N -B -e "SELECT CONCAT('DROP USER ', QUOTE(User), '@', QUOTE(Host), ';') FROM mysql.global_priv
  WHERE User = ''" | mariadb || exit 1
if [ -n "$(${stock})" ]; then mariadb -e 'DROP DATABASE test' || exit 1; fi`,
  });
  return { check: join([check, sh`[ -z "$(${stock})" ] && [ -z "$(${waits})" ]`]), act };
}
