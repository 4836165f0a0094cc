import type { SitePlan } from '../workflows/plans.js';
import { sendmail } from './mail.js';
import { paths, webRoot } from './paths.js';
import { publish } from './publish.js';
import { sandbox } from './sandbox.js';
import { sh, type Script, writeFile } from './shell.js';

/** A site whose PHP runs, and the version that runs it. */
export interface PhpSite {
  site: SitePlan['site'];
  /** Whom its mail is from. */
  domain: string;
  type: SitePlan['type'];
  version: NonNullable<SitePlan['php']>;
}

/**
 * The template unit. Each PHP site has an FPM master of its own: a reload of a shared one cut other sites' requests,
 * its sites share OPcache, and one bad pool kills all. The master starts as root, to give the socket to nginx, and with
 * no more than that takes; what it and its workers see of /srv is their own site.
 */
export function fpmUnit(): string {
  return `# Written by CHOM: changes made here are replaced.
[Unit]
Description=PHP of CHOM site %i
After=network.target mariadb.service
AssertPathExists=${paths.php}/%i/php-fpm.conf

[Service]
Type=notify
EnvironmentFile=${paths.php}/%i/environment
# OPcache's own checks are system settings: a pool cannot make them.
ExecStart=/bin/sh -c 'exec /usr/sbin/php-fpm"$PHP_VERSION" --nodaemonize --fpm-config ${paths.php}/%i/php-fpm.conf \\
  -d opcache.validate_permission=1 -d opcache.restrict_api=/nonexistent'
ExecReload=/bin/kill -USR2 $MAINPID
KillMode=mixed
Restart=on-failure
UMask=0027
RuntimeDirectory=chom-php
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes

${sandbox('%i', 'CAP_CHOWN CAP_KILL CAP_SETGID CAP_SETUID')}

[Install]
WantedBy=multi-user.target
`;
}

/** The configuration of a site's own FPM master: one pool, started on demand. */
export function fpmFile({ site, domain, type }: PhpSite): string {
  const root = paths.root(site);
  return `; Site ${site}, written by CHOM: changes made here are replaced.
[global]
; The journal: a log that root opens never lies in a directory of the site's.
error_log = syslog
syslog.ident = chom-php-${site}
; Running requests may end before a reload takes their process.
process_control_timeout = 10s

[${site}]
user = ${site}
group = ${site}
listen = ${paths.socket(site)}
listen.owner = www-data
listen.group = www-data
listen.mode = 0660
pm = ondemand
pm.max_children = 10
pm.process_idle_timeout = 30s
pm.max_requests = 500
clear_env = yes
security.limit_extensions = .php
catch_workers_output = yes
php_admin_value[open_basedir] = ${root}/:/usr/share/php/
php_admin_value[doc_root] = ${webRoot({ site, type })}
php_admin_value[upload_tmp_dir] = ${root}/tmp
php_admin_value[sys_temp_dir] = ${root}/tmp
php_admin_value[session.save_path] = ${root}/tmp
; Debian leaves the removal of old sessions to a job that knows only the stock directory.
php_admin_value[session.gc_probability] = 1
php_admin_value[sendmail_path] = "${sendmail(domain)}"
php_admin_value[error_log] = syslog
php_admin_value[syslog.ident] = chom-php-${site}
php_admin_flag[log_errors] = on
php_admin_flag[allow_url_include] = off
php_admin_flag[expose_php] = off
php_flag[display_errors] = off
php_value[upload_max_filesize] = 64M
php_value[post_max_size] = 64M
`;
}

const UNIT = '/etc/systemd/system/chom-php@.service';

/** Makes the server ready for sites' PHP. The distribution's own FPM and its pools are left as they are. */
export function bootstrapPhp(): { check: Script; act: Script } {
  const text = fpmUnit();
  return {
    check: sh`${unitStands()} && [ "$(stat -c '%a %u' ${paths.php} 2>/dev/null)" = '755 0' ] || exit 1
[ "$(systemctl show -P NeedDaemonReload chom-php@none.service)" != yes ]`,
    act: sh`umask 022
install -d -o root -g root -m 0755 /etc/chom ${paths.php} || exit 1
${writeFile({ path: UNIT, content: text, mode: '0644' })} || exit 1
systemctl daemon-reload`,
  };
}

/** A command: whether the unit of all sites' PHP is there as it shall be. */
export function unitStands(): Script {
  return sh`printf %s ${fpmUnit()} | cmp -s - ${UNIT}`;
}

/** Starts a site's PHP, or gives it a new configuration. Exit codes of `publish`. */
export function startPhp(site: PhpSite): { check: Script; act: Script } {
  return publication(site, { conf: fpmFile(site), environment: `PHP_VERSION=${site.version}\n` });
}

/** Stops a site's PHP and takes its files away. Succeeds when there was none. */
export function stopPhp(site: PhpSite): { check: Script; act: Script } {
  return publication(site, { conf: null, environment: null });
}

interface Files {
  conf: string | null;
  environment: string | null;
}

function publication({ site, version }: PhpSite, { conf, environment }: Files): { check: Script; act: Script } {
  const unit = `chom-php@${site}.service`;
  const file = `${paths.php}/${site}/php-fpm.conf`;
  const binary = `/usr/sbin/php-fpm${version}`;
  const active = sh`systemctl -q is-active ${unit} && systemctl -q is-enabled ${unit} && [ -S ${paths.socket(site)} ]`;
  const inactive = sh`! systemctl -q is-active ${unit} && ! systemctl -q is-enabled ${unit} && [ ! -d ${`${paths.php}/${site}`} ]`;
  return publish({
    service: `php-${site}`,
    tree: paths.php,
    changes: [
      { path: `${site}/environment`, text: environment },
      { path: `${site}/php-fpm.conf`, text: conf },
    ],
    // Only the site's own file is read: whatever else is wrong on the server is nobody's business here.
    test: sh`[ ! -e ${file} ] || ${binary} -t -y ${file} 2>&1`,
    // A reload keeps the program that runs; another version of PHP wants another program.
    apply: sh`if [ -e ${file} ]; then
  systemctl -q enable ${unit} || exit 1
  if ! systemctl -q is-active ${unit}; then systemctl start ${unit}
  elif [ "$(readlink "/proc/$(systemctl show -P MainPID ${unit})/exe")" = ${binary} ]; then systemctl reload ${unit}
  else systemctl restart ${unit}
  fi
else
  systemctl -q disable --now ${unit}
  systemctl reset-failed ${unit} 2>/dev/null
  rm -f ${paths.socket(site)}
  if [ -d ${`${paths.php}/${site}`} ]; then rmdir ${`${paths.php}/${site}`}; fi
fi`,
    served: conf === null ? inactive : active,
    ...(conf === null && { after: sh`rm -rf ${`${paths.previous}/php-${site}`}` }),
  });
}
