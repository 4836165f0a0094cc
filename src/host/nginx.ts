import { runsPhp, type SitePlan } from '../workflows/plans.js';
import {
  acme,
  answer,
  atLeast,
  http2,
  listen,
  protocols,
  server,
  versioned,
  type NginxFacts,
  type NginxFile,
} from './nginx-blocks.js';
import { paths, webRoot } from './paths.js';

/** A site as its nginx file shows it. */
export type NginxSite = Pick<SitePlan, 'site' | 'domain' | 'aliases' | 'type'> & {
  /** A certificate is installed: 443 is served, and 80 redirects. False until then: nginx refuses a missing file. */
  certificate: boolean;
  /** Visitors are told to come again; ACME challenges are answered all the same. */
  maintenance?: boolean;
  /** Visitors are turned away; ACME challenges are answered all the same. */
  suspended?: boolean;
};

/** What a browser or a search engine is told that comes meanwhile. */
const RETRY_AFTER_SECONDS = 60;
/** A suspension ends when a person ends it. */
const SUSPENDED_RETRY_SECONDS = 86_400;

/** The file of a site: port 80 alone, or 80 and 443 once its certificate is installed. */
export function siteFile(site: NginxSite, facts: NginxFacts): NginxFile {
  const { domain } = site;
  const names = [domain, ...site.aliases].join(' ');
  const common = [
    `server_name ${names};`,
    'server_tokens off;',
    `access_log ${paths.logs(site.site)}/access.log chom;`,
    `error_log ${paths.logs(site.site)}/error.log;`,
  ];
  const redirect = ['location / {', '    return 301 https://$host$request_uri;', '}'];
  const body = site.maintenance ? maintenance() : site.suspended ? suspended() : content(site);
  const servers = site.certificate
    ? [
        server([...listen(80, facts), ...common, '', ...acme(), '', ...answer(), '', ...redirect]),
        server([
          ...listen(443, facts, ' ssl'),
          ...http2(facts),
          ...common,
          '',
          ...tls(site.site, facts),
          '',
          ...answer(),
          '',
          ...body,
        ]),
      ]
    : [server([...listen(80, facts), ...common, '', ...acme(), '', ...answer(), '', ...body])];
  return versioned(`# Site ${site.site}, written by CHOM: changes made here are replaced.\n${servers.join('\n')}`);
}

/** Whom the ports 80 and 443 answer when no site has the name that is asked for. */
export interface CatchAll {
  /** Which ports lack a default server of somebody else's. */
  ports: readonly (80 | 443)[];
}

/** The catch-all servers: an unknown name never lands on a tenant's site, and ACME challenges are found all the same. */
export function defaultFile(catchAll: CatchAll, facts: NginxFacts): NginxFile {
  const servers = catchAll.ports.map((port) =>
    port === 80
      ? server([
          ...listen(80, facts, ' default_server'),
          'server_name _;',
          'server_tokens off;',
          '',
          ...acme(),
          '',
          ...answer('chom-default'),
          '',
          'location / {',
          '    return 444;',
          '}',
        ])
      : server([...listen(443, facts, ' ssl default_server'), 'server_name _;', ...protocols(), '', ...refuse(facts)]),
  );
  return versioned(`# Catch-all servers, written by CHOM: changes made here are replaced.\n${servers.join('\n')}`);
}

/** Settings that only the http level knows, without those that the server's own configuration already makes. */
export function httpFile(alreadySet: ReadonlySet<string>): string {
  const settings: [name: string, value: string][] = [
    // A name has up to 253 characters; nginx then wants a bucket of the next power of two.
    ['server_names_hash_bucket_size', '512'],
    ['server_names_hash_max_size', '16384'],
  ];
  return [
    '# Written by CHOM: changes made here are replaced.',
    ...settings.filter(([name]) => !alreadySet.has(name)).map(([name, value]) => `${name} ${value};`),
    `log_format chom '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '`,
    `                '"$http_referer" "$http_user_agent" $host $request_time';`,
    `include ${paths.nginx}/chom.d/*.conf;`,
    '',
  ].join('\n');
}

/** Included wherever headers are added: nginx inherits `add_header` only where a level adds none of its own. */
export function headersFile(): string {
  return [
    '# Written by CHOM: changes made here are replaced.',
    'add_header X-Content-Type-Options nosniff always;',
    'add_header X-Frame-Options SAMEORIGIN always;',
    'add_header Referrer-Policy strict-origin-when-cross-origin always;',
    '',
  ].join('\n');
}

function maintenance(): string[] {
  return closed(RETRY_AFTER_SECONDS, 'Maintenance', 'This site is being maintained and will be back in a moment.');
}

/** 503, so that search engines keep what they have of it for a while. */
function suspended(): string[] {
  return closed(SUSPENDED_RETRY_SECONDS, 'Suspended', 'This site is not available at the moment.');
}

/** Nothing of the site's own is touched: its files and its PHP may be gone meanwhile. */
function closed(retrySeconds: number, title: string, text: string): string[] {
  return [
    'location / {',
    '    default_type "text/html; charset=utf-8";',
    `    add_header Retry-After ${retrySeconds} always;`,
    '    add_header Cache-Control no-store always;',
    `    include ${paths.nginx}/chom.d/headers.inc;`,
    `    return 503 "<!doctype html><title>${title}</title><p>${text}</p>\\n";`,
    '}',
  ];
}

function content(site: NginxSite): string[] {
  const php = runsPhp(site.type);
  return [
    `root ${webRoot(site)};`,
    `index ${php ? 'index.php ' : ''}index.html index.htm;`,
    // Links to what belongs to somebody else are not followed; a site's own links work.
    'disable_symlinks if_not_owner from=$document_root;',
    'client_max_body_size 64m;',
    `include ${paths.nginx}/chom.d/headers.inc;`,
    '',
    'location / {',
    `    try_files $uri $uri/ ${php ? '/index.php?$args' : '=404'};`,
    '}',
    '',
    '# Regular expressions are tried in this order.',
    'location ~ /\\.(?!well-known(?:/|$)) {',
    '    return 404;',
    '}',
    '',
    ...(site.type === 'wordpress' ? wordpress() : []),
    ...(php ? fastcgi(site.site) : ['location ~* \\.(?:php|phar|phtml)$ {', '    return 404;', '}']),
  ];
}

/**
 * What a WordPress has below its root and no visitor asks for: programs among uploads, dumps, logs, its settings, and its
 * installer, which makes whoever comes first the administrator of one whose database is empty.
 */
function wordpress(): string[] {
  return [
    'location ~* ^/(?:wp-content/(?:uploads|files|upgrade)|files)/.*\\.(?:php|phar|phtml)(?:/|$) {',
    '    return 404;',
    '}',
    '',
    'location ~* ^/wp-(?:config.*|admin/(?:install|setup-config))\\.php$|\\.(?:sql|log|bak|ini|conf|sh|swp|dist)$ {',
    '    return 404;',
    '}',
    '',
  ];
}

function fastcgi(site: string): string[] {
  return [
    'location ~ \\.php$ {',
    '    try_files $uri =404;',
    '    include fastcgi_params;',
    '    fastcgi_param SCRIPT_FILENAME $realpath_root$fastcgi_script_name;',
    '    fastcgi_param DOCUMENT_ROOT $realpath_root;',
    // httpoxy: PHP shows a Proxy header as HTTP_PROXY (CVE-2016-5385).
    '    fastcgi_param HTTP_PROXY "";',
    `    fastcgi_pass unix:${paths.socket(site)};`,
    '}',
  ];
}

function tls(site: string, facts: NginxFacts): string[] {
  return [
    `ssl_certificate ${paths.tls(site)}/fullchain.pem;`,
    `ssl_certificate_key ${paths.tls(site)}/key.pem;`,
    ...protocols(),
    'ssl_session_timeout 1d;',
    'ssl_session_cache shared:chom:10m;',
    // Before 1.23.2 ticket keys are never rotated.
    ...(atLeast(facts.version, '1.23.2') ? [] : ['ssl_session_tickets off;']),
  ];
}

function refuse(facts: NginxFacts): string[] {
  if (atLeast(facts.version, '1.19.4')) return ['ssl_reject_handshake on;'];
  return [
    `ssl_certificate ${paths.tls('default')}/fullchain.pem;`,
    `ssl_certificate_key ${paths.tls('default')}/key.pem;`,
    'return 444;',
  ];
}
