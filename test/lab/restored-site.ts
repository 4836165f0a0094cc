import { createHash, randomInt } from 'node:crypto';
import type { LabHost } from '../../lab/index.js';
import { makeBackup } from '../../src/host/backup.js';
import { readBackup } from '../../src/host/backup-result.js';
import { createDatabase } from '../../src/host/database.js';
import type { Host, Job, Output } from '../../src/host/host.js';
import { placeOf } from '../../src/host/job-unit.js';
import type { NginxSite } from '../../src/host/nginx.js';
import { publishSite } from '../../src/host/nginx-site.js';
import { paths } from '../../src/host/paths.js';
import { startPhp } from '../../src/host/php-fpm.js';
import type { RepositoryAccess } from '../../src/host/restic.js';
import {
  type RestoreChange,
  type RestoreFacts,
  type RestoreOrder,
  parseManifest,
} from '../../src/host/restore-manifest.js';
import { sh, type Script } from '../../src/host/shell.js';
import { createUser } from '../../src/host/user.js';
import { ask, make, type ReadyHost } from './on-host.js';
import { jobOf } from './reach.js';

/** A PHP site with a database, and a repository in a directory of its own server. */
export interface RestoredSite {
  site: string;
  uid: number;
  domain: string;
  access: RepositoryAccess;
  php: Parameters<typeof startPhp>[0];
  page: NginxSite;
  /** Makes a backup of what is there, or one that holds this dump and no files. */
  backUp(dump?: string): Promise<{ order: RestoreOrder & { files: string; database: string }; facts: RestoreFacts }>;
  job(change: RestoreChange, name?: string): Job;
  /** Runs a change to its end. */
  run(change: RestoreChange): Promise<Output>;
  /** All of its files (content, owner, mode, links, holes) and its database (rows and definitions), as one text. */
  state(): Promise<string>;
  sql(text: string, ...options: string[]): Promise<string>;
}

let sites = 0;
const PASSWORD = 'lab';
const DUMP = [
  ...['mariadb-dump', '--single-transaction', '--routines', '--events', '--triggers', '--hex-blob', '--dump-history'],
  ...['--no-tablespaces', '--skip-dump-date', '--order-by-primary', '--default-character-set=utf8mb4'],
];

export async function restoredSite(
  { host: machine, facts: nginx, php: version }: ReadyHost,
  host: Host,
): Promise<RestoredSite> {
  sites += 1;
  const site = `s${Array.from({ length: 9 }, () => 'abcdefghijklmnopqrstuvwxyz234567'[randomInt(32)]).join('')}`;
  const uid = 22_000 + sites;
  const domain = `${site}.example.org`;
  const url = `/backups/${site}`;
  const access: RepositoryAccess = { url, password: Buffer.from(PASSWORD), login: null, hostKey: null, ca: null };
  const php = { site, domain, type: 'php' as const, version };
  const page: NginxSite = { site, domain, aliases: [], type: 'php', certificate: false };
  const program = `<?php $db = new mysqli('localhost', '${site}', '', '${site}');
echo 'page ', trim(file_get_contents('version')), ' ', $db->query('SELECT name FROM version')->fetch_row()[0];`;
  await make(machine, createUser({ site, uid }));
  await make(machine, createDatabase(site));
  await ask(
    machine,
    sh`printf %s ${program} >${`/srv/chom/${site}/app/index.php`} && echo one >${`/srv/chom/${site}/app/version`} &&
chown -R ${`${site}:www-data`} ${`/srv/chom/${site}/app`}
[ -e ${paths.restic} ] || { mkdir -p /usr/local/lib/chom && ln -s /usr/bin/restic ${paths.restic}; }
mkdir -p /backups && chmod 700 /backups`,
  );
  const sql = async (text: string, ...options: string[]) =>
    await ask(machine, sh`printf %s ${text} | mariadb -N -B ${options} ${site}`);
  await sql("CREATE TABLE version (name VARCHAR(20)); INSERT INTO version VALUES ('one')");
  await make(machine, startPhp(php));
  await make(machine, publishSite(page, nginx));
  const restic = async (...words: string[]) =>
    await ask(machine, sh`RESTIC_PASSWORD=${PASSWORD} restic --json --no-cache -r ${url} ${words}`);
  await restic('init');

  function job(change: RestoreChange, root?: string): Job {
    return { ...jobOf({ scope: `site/${site}`, limitSeconds: 600, ...(root && { root }) }), ...change };
  }
  /** As CHOM makes it. */
  async function wellMade() {
    const order = {
      ...{ site, domain, operation: `backup-${randomInt(1e9)}` },
      type: 'php',
      php: version,
      database: true,
    } as const;
    const output = await host.job({
      ...jobOf({ scope: `site/${site}`, limitSeconds: 600, root: order.operation }),
      ...makeBackup({ ...order, kind: 'full' }, access),
    });
    const backup = readBackup(output, host, { what: 'The backup', storage: 'lab' });
    const id = (role: string) => backup.snapshots.find((one) => one.role === role)!.id;
    const ids = { manifest: id('manifest'), files: id('files'), database: id('database') };
    return {
      facts: parseManifest(JSON.stringify(backup.facts)),
      order: { ...ids, manifestSha256: backup.manifestSha256 },
    };
  }

  /** Of a dump that says so itself, and of no files. The manifest speaks of one table with one row. */
  async function madeOf(dump: string) {
    const save = async (name: string, text: string) => {
      await ask(machine, sh`printf %s ${text} >/root/saved`);
      const said = await restic('backup', '--stdin-filename', name, '--stdin-from-command', '--', 'cat', '/root/saved');
      return /"snapshot_id":"([0-9a-f]{64})"/.exec(said)![1]!;
    };
    const facts: RestoreFacts = {
      ...{ format: 1, operation: 'backup', site, files: null },
      database: {
        bytes: dump.length,
        sha256: '0'.repeat(64),
        rows: 1,
        tables: 1,
        charset: 'utf8mb4',
        collation: 'utf8mb4_unicode_ci',
      },
    };
    const manifest = `${JSON.stringify(facts).slice(0, -1)}\n,"contents":{"tables":[{"name":"version","engine":"InnoDB","rows":1}]\n,"views":[]\n}\n}\n`;
    const ids = {
      database: await save('database.sql', dump),
      manifest: await save('manifest.json', manifest),
      files: '',
    };
    return { facts, order: { ...ids, manifestSha256: createHash('sha256').update(manifest).digest('hex') } };
  }

  return {
    ...{ site, uid, domain, access, php, page, sql, job },
    run: async (change) => await host.job(job(change)),
    async backUp(dump) {
      const operation = `restore-${randomInt(1e9)}`;
      const made = dump === undefined ? await wellMade() : await madeOf(dump);
      return { facts: made.facts, order: { site, uid, operation, ...made.order } };
    },
    state: async () => await ask(machine, stateOf(site)),
    sql,
  };
}

/** Ends every process of a job at once, as the kernel does that is out of memory. */
export async function killJob(machine: LabHost, job: Job): Promise<void> {
  const { unit } = placeOf(job);
  await machine.exec(`systemctl kill -s KILL ${unit}-act.service ${unit}.service`);
}

function stateOf(site: string): Script {
  return sh`cd ${`/srv/chom/${site}`} && {
  find app shared -printf '%p %y %m %u:%g %n %l\n' | sort
  find app shared -type f -printf '%p %s %b\n' | awk '{ print $1, $2, $3 * 512 < $2 ? "holes" : "" }' | sort
  find app shared -type f -exec sha256sum {} + | sort -k 2
  perl -e ${GETXATTR} $(find app shared -type f -name 'listed*')
  ${DUMP} ${site} | sed ${'s/DEFINER=\\([`"]\\)root[`"]@/DEFINER=\\1' + site + '\\1@/; s/DEFINER=`' + site + '`/DEFINER=\\"' + site + '\\"/'}
}`;
}

/** Prints the access ACL of files; getfattr is not on every host. getxattr(2), x86_64. */
const GETXATTR = `for my $file (@ARGV) { my $value = "\\0" x 256; my $acl = "system.posix_acl_access"; my $n = syscall(191, $file, $acl, $value, 256);
print "$file ", $n > 0 ? unpack('H*', substr $value, 0, $n) : 'none', "\\n" }`;
