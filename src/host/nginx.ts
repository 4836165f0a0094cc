import { createHash } from 'node:crypto';
import type { SitePlan } from '../workflows/plans.js';
import { documentRoot, paths } from './paths.js';

/** What of a server decides how nginx is configured on it. */
export interface NginxFacts {
  /** As `nginx -v` prints it, for example `1.26.3`. */
  version: string;
  /** The kernel has IPv6: `listen [::]:80` is a fatal error without. */
  ipv6: boolean;
}

/** A site as its nginx file shows it. */
export type NginxSite = Pick<SitePlan, 'site' | 'domain' | 'aliases' | 'type'> & {
  /** A certificate is installed: 443 is served, and 80 redirects. False until then: nginx refuses a missing file. */
  certificate: boolean;
};

/** A file's text and the version by which it can be recognised when it is served. */
export interface NginxFile {
  text: string;
  version: string;
}

/** Mozilla's intermediate list, guideline 6.0. Curves are OpenSSL's own: 3.5 offers X25519MLKEM768, 3.0 refuses it. */
const CIPHERS = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

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
          ...content(site),
        ]),
      ]
    : [server([...listen(80, facts), ...common, '', ...acme(), '', ...answer(), '', ...content(site)])];
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

/** Whether version `a` is at least `b`, for dotted numbers. */
export function atLeast(a: string, b: string): boolean {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number));
  for (const [place, wanted] of (right ?? []).entries()) {
    const found = left?.[place] ?? 0;
    if (found !== wanted) return found > wanted;
  }
  return true;
}

function content(site: NginxSite): string[] {
  const php = site.type === 'php';
  return [
    `root ${documentRoot(site.site)};`,
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
    ...(php ? fastcgi(site.site) : ['location ~* \\.(?:php|phar|phtml)$ {', '    return 404;', '}']),
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

/** In every port-80 server, before anything that redirects: a server-level `return` would hide it. */
function acme(): string[] {
  return ['location ^~ /.well-known/acme-challenge/ {', `    root ${paths.acme};`, '    default_type text/plain;', '}'];
}

function answer(name = 'chom-version'): string[] {
  return [
    `location = /.well-known/${name} {`,
    '    default_type text/plain;',
    '    access_log off;',
    `    return 200 "${PLACEHOLDER}\\n";`,
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

function protocols(): string[] {
  return ['ssl_protocols TLSv1.2 TLSv1.3;', `ssl_ciphers ${CIPHERS};`, 'ssl_prefer_server_ciphers off;'];
}

function refuse(facts: NginxFacts): string[] {
  if (atLeast(facts.version, '1.19.4')) return ['ssl_reject_handshake on;'];
  return [
    `ssl_certificate ${paths.tls('default')}/fullchain.pem;`,
    `ssl_certificate_key ${paths.tls('default')}/key.pem;`,
    'return 444;',
  ];
}

/** `http2 on;` is a fatal unknown directive before 1.25.1, and the parameter of `listen` is deprecated from there on. */
function hasHttp2Directive(facts: NginxFacts): boolean {
  return atLeast(facts.version, '1.25.1');
}

function http2(facts: NginxFacts): string[] {
  return hasHttp2Directive(facts) ? ['http2 on;'] : [];
}

function listen(port: 80 | 443, facts: NginxFacts, parameters = ''): string[] {
  const http2Parameter = port === 443 && !hasHttp2Directive(facts) ? ' http2' : '';
  const addresses = facts.ipv6 ? [`${port}`, `[::]:${port}`] : [`${port}`];
  return addresses.map((address) => `listen ${address}${parameters}${http2Parameter};`);
}

function server(lines: string[]): string {
  return `server {\n${lines.map((line) => (line === '' ? '' : `    ${line}`)).join('\n')}\n}\n`;
}

const PLACEHOLDER = '0'.repeat(32);

/** The version is the hash of the text with zeros in its place, so that any change of the text changes it. */
function versioned(text: string): NginxFile {
  const version = createHash('sha256').update(text).digest('hex').slice(0, PLACEHOLDER.length);
  return { text: text.replaceAll(PLACEHOLDER, version), version };
}
