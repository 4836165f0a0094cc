import { ADMIN_PASSWORD, type SitePlan, type WordpressPlan } from '../workflows/plans.js';
import type { Background } from './background.js';
import { emptyDatabase } from './database.js';
import { EXIT } from './exit-codes.js';
import { sendmail } from './mail.js';
import { documentRoot, paths } from './paths.js';
import { php, requireExtensions } from './php-cli.js';
import { sh, type Script, writeFile } from './shell.js';
import { applicationMark, siteBox } from './site-source.js';
import { asSite } from './user.js';
import { configuration, INSTALL, IS_INSTALLED } from './wordpress-php.js';

/** A WordPress whose files are in place, and what it is told of itself. Its password is the job's secret `ADMIN_PASSWORD`. */
export interface Wordpress extends WordpressPlan {
  site: SitePlan['site'];
  domain: string;
  tls: boolean;
  version: NonNullable<SitePlan['php']>;
}

const EXTENSIONS = ['mysqli', 'mbstring', 'dom', 'curl', 'gd', 'zip', 'intl'];
const KEYS = ['AUTH_KEY', 'SECURE_AUTH_KEY', 'LOGGED_IN_KEY', 'NONCE_KEY'].flatMap((key) => [
  key,
  key.replace('KEY', 'SALT'),
]);

/**
 * Writes `wp-config.php`, readable for the site alone, with keys made here, and installs: everything as the site's user,
 * in a unit that sees no other site. An installation that died half-way begins again with an empty database, for
 * WordPress itself would take it for whole. Exit codes: sourceRejected, unsupported.
 */
export function installWordpress(wordpress: Wordpress): { check: Script; act: Script; properties: string[] } {
  const { site, version, title, adminUser, adminEmail } = wordpress;
  const app = documentRoot(site);
  const [head, tail] = configuration(wordpress);
  const run = (code: string, ...words: string[]): Script =>
    sh`${php(version)} -d display_errors=stderr -d memory_limit=256M -r ${code} -- ${words} >&2`;
  const act = sh`export LC_ALL=C
${asSite(
  site,
  sh`[ -f ${app}/wp-load.php ] && [ -f ${app}/wp-includes/version.php ] && [ -f ${app}/wp-cron.php ]`,
)} || {
  echo 'the source is no WordPress: it has no wp-load.php at its top' >&2
  exit ${EXIT.sourceRejected}
}
${requireExtensions(version, EXTENSIONS)}
${emptyDatabase(site)} || {
  echo ${`cannot empty database ${site}`} >&2
  exit 1
}
${asSite(
  site,
  sh`cd ${app} && umask 077 || exit 1
key() { printf "define('%s', '%s');\n" "$1" "$(head -c 48 /dev/urandom | base64 -w 0)"; }
rm -f .chom-config
{ printf %s ${head}; for name in ${KEYS}; do key "$name"; done; printf %s ${tail}; } >.chom-config &&
  mv -fT .chom-config wp-config.php`,
)} || {
  echo 'cannot write wp-config.php' >&2
  exit 1
}
${asSite(site, sh`cd ${app} && ${run(INSTALL, title, adminUser, adminEmail)}`)} <"$CREDENTIALS_DIRECTORY"/${ADMIN_PASSWORD} || {
  echo 'WordPress could not be installed' >&2
  exit 1
}
${asSite(site, sh`cd ${app} && ${run(IS_INSTALLED, adminUser)}`)} || {
  echo 'WordPress was installed, and then says that it is not' >&2
  exit 1
}
${writeFile({ path: applicationMark(site), content: 'wordpress\n', mode: '0600' })}`;
  return { check: sh`[ -e ${applicationMark(site)} ]`, act, properties: siteBox(site) };
}

/** WordPress's own jobs, which otherwise wait for visitors. */
export function wordpressBackground({ version, domain }: Pick<Wordpress, 'version' | 'domain'>): Background[] {
  const command = [php(version), '-d', `sendmail_path=${sendmail(domain)}`, 'wp-cron.php'];
  const every = { calendar: '*:0/5', spread: '4min' };
  return [{ name: 'cron', description: 'WordPress cron', command, every }];
}

/** Forgets that an application was installed; its files go with the user, what it wrote with the database. */
export function forgetApplication(site: string): { check: Script; act: Script } {
  return {
    check: sh`[ ! -e ${applicationMark(site)} ]`,
    act: sh`rm -f ${applicationMark(site)} && sync ${paths.sites}`,
  };
}
