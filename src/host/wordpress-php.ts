/**
 * Installs a WordPress: `php -r … -- TITLE USER EMAIL`, the administrator's password on stdin. Nobody is written to, and
 * nothing is fetched: the site has no address yet.
 */
export const INSTALL = `
define('WP_INSTALLING', true);
[, $title, $user, $email] = $argv;
$password = stream_get_contents(STDIN);
if ($password === '') { fwrite(STDERR, "there is no password for the administrator\\n"); exit(1); }
function wp_new_blog_notification() {}
require 'wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
add_filter('pre_http_request', fn() => new WP_Error('offline', 'not while installing'));
$made = wp_install($title, $user, $email, true, '', $password);
if (is_wp_error($made['user_id'] ?? null)) { fwrite(STDERR, $made['user_id']->get_error_message() . "\\n"); exit(1); }
update_option('permalink_structure', '/%year%/%monthnum%/%day%/%postname%/');
update_option('rewrite_rules', '');
`;

/** Exits 0 when a WordPress is installed and has this administrator: `php -r … -- USER`. */
export const IS_INSTALLED = `
require 'wp-load.php';
$user = get_user_by('login', $argv[1]);
exit(is_blog_installed() && $user && user_can($user, 'manage_options') ? 0 : 1);
`;

/**
 * \`wp-config.php\` around the keys, which are made on the server. The address follows the request: before there is a
 * certificate the site answers over HTTP, afterwards nginx sends everybody to HTTPS.
 */
export function configuration({ site, domain, tls }: { site: string; domain: string; tls: boolean }): [string, string] {
  return [
    `<?php
// Made by CHOM with the site; from now on it is yours.
define('DB_NAME', '${site}');
define('DB_USER', '${site}');
// The database knows the site's user by the socket it comes through: there is no password.
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
$table_prefix = 'wp_';

`,
    `
$scheme = PHP_SAPI === 'cli' ? '${tls ? 'https' : 'http'}' : (empty($_SERVER['HTTPS']) ? 'http' : 'https');
define('WP_HOME', $scheme . '://${domain}');
define('WP_SITEURL', WP_HOME);
define('FS_METHOD', 'direct');
define('DISALLOW_FILE_EDIT', true);
define('WP_AUTO_UPDATE_CORE', 'minor');
// A timer of the server runs wp-cron.php.
define('DISABLE_WP_CRON', true);

if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
`,
  ];
}
