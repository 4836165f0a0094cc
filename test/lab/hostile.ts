import type { LabHost } from '../../lab/index.js';
import { sh, type Script } from '../../src/host/shell.js';
import { ask, run, type Said } from './on-host.js';

/** Code of a site, at its worst: what its PHP runs, and the user itself without PHP and without its unit's sandbox. */
export interface Hostile {
  /** What `sh` prints that PHP has started, errors too. */
  inPhp(command: string): Promise<string>;
  /** The same as the user, as a cron job or a login would be. */
  asUser(command: string): Promise<Said>;
}

export function hostile(host: LabHost, site: string, domain: string): Hostile {
  return {
    async inPhp(command) {
      const code = `<?php $command = base64_decode('${Buffer.from(`{ ${command}\n} 2>&1`).toString('base64')}'); passthru($command);`;
      await asUser(host, site, sh`printf %s ${code} >${`/srv/chom/${site}/app/shell.php`}`);
      return await ask(host, sh`curl -s -m 60 -H ${`Host: ${domain}`} http://127.0.0.1/shell.php`);
    },
    asUser: async (command) => await asUser(host, site, { script: Buffer.from(command) }),
  };
}

async function asUser(host: LabHost, site: string, { script }: Script): Promise<Said> {
  return await run(
    host,
    sh`cd / && runuser -u ${site} -- sh -c ${
      sh`umask 027
${{ script }}`.script
    }`,
  );
}

/** Files that are root's or another's alone, as far as they are on the host. */
export const SECRETS = [
  ...['/etc/shadow', '/etc/gshadow', '/etc/sudoers', '/etc/ssh/ssh_host_ed25519_key', '/root/.ssh/authorized_keys'],
  ...['/root/secret.txt', '/var/lib/chom/sites', '/var/lib/chom/jobs', '/var/lib/chom/claims', '/var/lib/chom/tls'],
  ...['/var/lib/chom/recovery', '/var/lib/chom/staging', '/var/lib/chom/previous', '/var/lib/mysql/mysql'],
  ...['/var/log/nginx/access.log', '/var/log/nginx/chom', '/proc/1/environ', '/proc/1/root', '/proc/1/maps'],
];

/** Ways by which a user has something run later, or as somebody else. */
export const WAYS_OUT = [
  'systemd-run --quiet --wait id',
  'systemd-run --user --quiet --wait id',
  'busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager StopUnit ss nginx.service replace',
  'systemctl stop nginx',
  'systemctl set-environment A=b',
  'loginctl enable-linger',
  'echo "* * * * * id" | crontab -',
  'echo id | at now',
  'sudo -n id',
  'su -c id </dev/null',
  'pkexec id',
  'unshare -Ur id',
  'chroot / id',
  'mount -t tmpfs none /tmp',
  'kill -9 1',
];

const WORDPRESS = `<?php
define('ABSPATH', __DIR__ . '/');
class WP_Error {}
function wp_install() { return ['user_id' => 1]; }
function get_user_by() { return true; }
function user_can() { return true; }
function is_blog_installed() { return true; }
function is_wp_error() { return false; }
function add_filter() {}
function update_option() {}
`;

/** Makes a directory look like a Laravel application and like a WordPress, as far as CHOM looks, to be installed as either. */
export const APPLICATIONS = `mkdir -p public wp-includes wp-admin/includes &&
touch artisan public/index.php wp-includes/version.php wp-cron.php wp-admin/includes/upgrade.php &&
cat >wp-load.php <<'END'
${WORDPRESS}END`;

/**
 * A program that exchanges, atomically and as fast as it can, what root might work on in a site's directories for links
 * to what is not the site's; until it is killed. renameat2(2) with RENAME_EXCHANGE.
 */
export function swapLoop(site: string, names: readonly string[], targets: readonly string[]): Script {
  const program = `
my @pairs;
for my $directory (qw(app shared tmp)) {
  for my $name (qw(${names.join(' ')})) {
    push @pairs, map { ["/srv/chom/${site}/$directory/$name", "/srv/chom/${site}/$directory/.swap-$name-" . $_ =~ s|/|_|gr, $_] } qw(${targets.join(' ')});
  }
}
for (my $round = 0; ; $round++) {
  for my $pair (@pairs) {
    my ($path, $aside, $target) = @$pair;
    if ($round % 50 == 0) { symlink $target, $aside; mkdir $path unless -e $path; }
    syscall(316, -100, $path, -100, $aside, 2);
  }
}`;
  return sh`systemd-run --quiet --unit=${`swap-${site}`} -p User=${site} perl -e ${program}`;
}
