import type { SitePlan } from '../workflows/plans.js';
import type { Background } from './background.js';
import { emptyDatabase } from './database.js';
import { EXIT } from './exit-codes.js';
import { sendmail } from './mail.js';
import { documentRoot } from './paths.js';
import { php, requireExtensions } from './php-cli.js';
import { join, sh, type Script, writeFile } from './shell.js';
import { applicationMark, siteBox } from './site-source.js';
import { asSite } from './user.js';

/** A Laravel application whose files are in place. */
export interface Laravel {
  site: SitePlan['site'];
  domain: string;
  tls: boolean;
  version: NonNullable<SitePlan['php']>;
}

const EXTENSIONS = ['pdo_mysql', 'mbstring', 'dom', 'curl', 'tokenizer', 'ctype', 'fileinfo', 'openssl'];
/** What Laravel writes to, and expects to find. */
const WRITTEN = [
  ...['app/public', 'framework/cache/data', 'framework/sessions', 'framework/views', 'logs'].map(
    (path) => `storage/${path}`,
  ),
  'bootstrap/cache',
];
const SIGNATURE = '# Made by CHOM with the site; from now on it is yours.';

/** What `.env` says of this server; all else is what the application's `.env.example` says. */
function environment({ site, domain, tls }: Laravel): [name: string, value: string][] {
  return [
    ['APP_ENV', 'production'],
    ['APP_DEBUG', 'false'],
    ['APP_URL', `${tls ? 'https' : 'http'}://${domain}`],
    ['DB_CONNECTION', 'mysql'],
    ['DB_HOST', 'localhost'],
    ['DB_PORT', '3306'],
    // The database knows the site's user by the socket it comes through: there is no password.
    ['DB_SOCKET', '/run/mysqld/mysqld.sock'],
    ['DB_DATABASE', site],
    ['DB_USERNAME', site],
    ['DB_PASSWORD', ''],
    ['MAIL_MAILER', 'sendmail'],
    ['MAIL_SENDMAIL_PATH', `"${sendmail(domain)}"`],
    ['MAIL_FROM_ADDRESS', `www@${domain}`],
  ];
}

/**
 * Makes the application runnable: the directories that it writes to, the link to what it shows of them, and `.env` with
 * a key made here, readable for the site alone, unless the source brought one, which stays as it is.
 * Exit codes: sourceRejected, unsupported.
 */
export function prepareLaravel(laravel: Laravel): { check: Script; act: Script; properties: string[] } {
  const { site, version } = laravel;
  const app = documentRoot(site);
  const ours = environment(laravel);
  const names = ['APP_KEY', ...ours.map(([name]) => name)].join('|');
  const check = asSite(
    site,
    sh`cd ${app} && [ -f .env ] && [ "$(stat -c %a .env)" = 600 ] || exit 1
for place in ${WRITTEN}; do [ -d "$place" ] || exit 1; done`,
  );
  const act = sh`export LC_ALL=C
${requireExtensions(version, EXTENSIONS)}
${asSite(
  site,
  sh`cd ${app} || exit 1
reject() { echo "$1" >&2; exit ${EXIT.sourceRejected}; }
[ -f artisan ] && [ -f public/index.php ] || reject 'the source is no Laravel application: it lacks artisan or public/index.php'
if [ -f composer.json ] && [ ! -f vendor/autoload.php ]; then
  reject 'the source lacks vendor/: run composer install --no-dev, and give the directory or an archive of it'
fi
mkdir -p ${WRITTEN} || exit 1
if [ ! -e public/storage ] && [ ! -L public/storage ]; then ln -s ../storage/app/public public/storage || exit 1; fi
umask 077
if [ ! -e .env ]; then
  rm -f .chom-env
  {
    echo ${SIGNATURE}
    if [ -f .env.example ]; then grep -v -E ${`^[# ]*(${names})=`} .env.example
    else echo 'QUEUE_CONNECTION=database'
    fi
    ${join(ours.map(([name, value]) => sh`printf '%s\n' ${`${name}=${value}`}`))}
    printf 'APP_KEY=base64:%s\n' "$(head -c 32 /dev/urandom | base64 -w 0)"
  } >.chom-env && mv -fT .chom-env .env || exit 1
fi
chmod 600 .env`,
)}`;
  return { check, act, properties: siteBox(site) };
}

/** Prints `ours` where `.env` is the one that `prepareLaravel` made. Run as root, it reads as the site's user. */
export function whoseEnvironment(site: string): Script {
  return asSite(site, sh`[ "$(head -n 1 ${documentRoot(site)}/.env)" = ${SIGNATURE} ] && echo ours || echo theirs`);
}

/**
 * Runs the application's migrations, as the site's user, in a unit that sees no other site. What died half-way begins
 * again with an empty database: MariaDB takes no change of a table back. Exit codes: sourceRejected.
 */
export function migrateLaravel({ site, version }: Laravel): { check: Script; act: Script; properties: string[] } {
  const act = sh`export LC_ALL=C
${emptyDatabase(site)} || {
  echo ${`cannot empty database ${site}`} >&2
  exit 1
}
${asSite(site, sh`cd ${documentRoot(site)} && ${php(version)} artisan migrate --force --no-interaction >&2`)} || {
  echo 'a migration of the application failed: php artisan migrate' >&2
  exit ${EXIT.sourceRejected}
}
${writeFile({ path: applicationMark(site), content: 'laravel\n', mode: '0600' })}`;
  return { check: sh`[ -e ${applicationMark(site)} ]`, act, properties: siteBox(site) };
}

/** Laravel's scheduler, every minute, and one worker for its queue. */
export function laravelBackground({ version, domain }: Pick<Laravel, 'version' | 'domain'>): Background[] {
  const artisan = (...words: string[]) => [
    php(version),
    '-d',
    `sendmail_path=${sendmail(domain)}`,
    'artisan',
    ...words,
  ];
  const every = { calendar: '*-*-* *:*:00', spread: '0' };
  return [
    {
      name: 'scheduler',
      description: 'Laravel scheduler',
      command: artisan('schedule:run', '--no-interaction'),
      every,
    },
    {
      name: 'queue',
      description: 'Laravel queue worker',
      // It ends after an hour, and systemd starts it anew: what leaks goes, and so does old code.
      command: artisan('queue:work', '--sleep=3', '--tries=3', '--max-time=3600', '--no-interaction'),
    },
  ];
}
