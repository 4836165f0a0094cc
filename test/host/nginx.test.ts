import { execFileSync } from 'node:child_process';
import { assert as holds, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultFile, headersFile, httpFile, siteFile, type NginxSite } from '../../src/host/nginx.js';
import { atLeast } from '../../src/host/nginx-blocks.js';
import { askForeign, bootstrapNginx, parseForeign } from '../../src/host/nginx-bootstrap.js';
import { parseNginxFacts, publishSite, unpublishSite } from '../../src/host/nginx-site.js';
import { domainName } from '../../src/workflows/plans.js';

const site: NginxSite = {
  site: 'sabcdefghi',
  domain: 'example.org',
  aliases: ['www.example.org'],
  type: 'static',
  certificate: false,
};
const php: NginxSite = { ...site, type: 'php' };
const debian13 = { version: '1.26.3', ipv6: true };
const debian12 = { version: '1.22.1', ipv6: true };

/** The servers of a file, each as its lines without indentation. */
function serversOf(text: string): string[][] {
  return text
    .split(/^server \{$/m)
    .slice(1)
    .map((server) => server.split('\n').map((line) => line.trim()));
}

describe("a site's nginx file", () => {
  it('sends visitors away while it is maintained, and answers challenges all the same', () => {
    const closed = serversOf(siteFile({ ...php, maintenance: true }, debian13).text);
    expect(closed).toHaveLength(1);
    expect(closed[0]).toEqual(
      expect.arrayContaining(['add_header Retry-After 60 always;', 'location ^~ /.well-known/acme-challenge/ {']),
    );
    expect(closed[0]?.filter((line) => /^(return|root|fastcgi_pass)/.test(line))).toEqual([
      'root /var/lib/chom/acme;',
      expect.stringMatching(/^return 200 "[0-9a-f]{32}/),
      expect.stringMatching(/^return 503 /),
    ]);
    const [plain, tls] = serversOf(siteFile({ ...php, certificate: true, maintenance: true }, debian13).text);
    expect(plain).toContain('return 301 https://$host$request_uri;');
    expect(tls?.join('\n')).toContain('return 503 ');
    expect(siteFile({ ...php, maintenance: false }, debian13)).toEqual(siteFile(php, debian13));
  });

  it('shows of a Laravel what lies in public, and of a WordPress no settings and no program among uploads', () => {
    const laravel = siteFile({ ...site, type: 'laravel' }, debian13).text;
    expect(laravel).toContain('    root /srv/chom/sabcdefghi/app/public;\n');
    expect(laravel).toContain('    try_files $uri $uri/ /index.php?$args;\n'.trimStart());
    const wordpress = siteFile({ ...site, type: 'wordpress' }, debian13).text;
    const refusals = [...wordpress.matchAll(/location ~\*? (\S+) \{\n\s+return 404;/g)].map(
      ([, pattern = '']) => pattern,
    );
    const refused = (path: string) => refusals.some((pattern) => new RegExp(pattern, 'i').test(path));
    // nginx takes the first expression that matches: these stand before PHP's.
    expect(wordpress.lastIndexOf('return 404')).toBeLessThan(wordpress.indexOf('location ~ \\.php$'));
    for (const path of [
      '/wp-config.php',
      '/wp-config-sample.php',
      '/wp-admin/install.php',
      '/wp-admin/setup-config.php',
      '/wp-content/uploads/2026/a.php',
      '/dump.SQL',
      '/.env',
    ]) {
      expect([path, refused(path)]).toEqual([path, true]);
    }
    for (const path of [
      '/',
      '/index.php',
      '/wp-login.php',
      '/wp-admin/',
      '/wp-content/uploads/a.jpg',
      '/.well-known/x',
    ]) {
      expect([path, refused(path)]).toEqual([path, false]);
    }
  });

  it('is this text before there is a certificate', () => {
    expect(siteFile(site, debian13).text).toMatchInlineSnapshot(`
      "# Site sabcdefghi, written by CHOM: changes made here are replaced.
      server {
          listen 80;
          listen [::]:80;
          server_name example.org www.example.org;
          server_tokens off;
          access_log /var/log/nginx/chom/sabcdefghi/access.log chom;
          error_log /var/log/nginx/chom/sabcdefghi/error.log;

          location ^~ /.well-known/acme-challenge/ {
              root /var/lib/chom/acme;
              default_type text/plain;
          }

          location = /.well-known/chom-version {
              default_type text/plain;
              access_log off;
              return 200 "9e2bfb10510bfbcf00ed4510ebabbf40\\n";
          }

          root /srv/chom/sabcdefghi/app;
          index index.html index.htm;
          disable_symlinks if_not_owner from=$document_root;
          client_max_body_size 64m;
          include /etc/nginx/chom.d/headers.inc;

          location / {
              try_files $uri $uri/ =404;
          }

          # Regular expressions are tried in this order.
          location ~ /\\.(?!well-known(?:/|$)) {
              return 404;
          }

          location ~* \\.(?:php|phar|phtml)$ {
              return 404;
          }
      }
      "
    `);
  });

  it('carries a version that changes with any of its text', () => {
    const one = siteFile(site, debian13);
    expect(one.text).toContain(`return 200 "${one.version}\\n";`);
    expect(one.version).toMatch(/^[0-9a-f]{32}$/);
    const others = [
      siteFile({ ...site, aliases: [] }, debian13),
      siteFile({ ...site, certificate: true }, debian13),
      siteFile(php, debian13),
      siteFile(site, { ...debian13, ipv6: false }),
    ];
    expect(new Set([one, ...others].map(({ version }) => version)).size).toBe(5);
    expect(siteFile(site, debian13)).toEqual(one);
  });

  it('does not name certificate files before they exist', () => {
    for (const each of [site, php]) {
      const { text } = siteFile(each, debian13);
      expect(text).not.toMatch(/ssl|443/);
      expect(serversOf(text)).toHaveLength(1);
    }
  });

  it('redirects to HTTPS with a certificate, but never challenges and its own version', () => {
    const [http = [], https = []] = serversOf(siteFile({ ...site, certificate: true }, debian13).text);
    const redirect = http.indexOf('return 301 https://$host$request_uri;');
    expect(http[redirect - 1]).toBe('location / {');
    expect(http.indexOf('location ^~ /.well-known/acme-challenge/ {')).toBeGreaterThan(0);
    expect(http).toContain('location = /.well-known/chom-version {');
    expect(https).toContain('location = /.well-known/chom-version {');
    expect(https).toContain('ssl_certificate_key /var/lib/chom/tls/sabcdefghi/key.pem;');
    expect(https).toContain('ssl_protocols TLSv1.2 TLSv1.3;');
    expect(https.join('\n')).not.toContain('Strict-Transport-Security');
  });

  it('speaks HTTP/2 as this version of nginx wants it', () => {
    const tls = { ...site, certificate: true };
    const newer = siteFile(tls, debian13).text;
    expect(newer).toContain('    listen 443 ssl;\n    listen [::]:443 ssl;\n    http2 on;\n');
    const older = siteFile(tls, debian12).text;
    expect(older).toContain('    listen 443 ssl http2;\n    listen [::]:443 ssl http2;\n');
    expect(older).not.toContain('http2 on');
    expect(older).toContain('ssl_session_tickets off;');
    expect(newer).not.toContain('ssl_session_tickets');
  });

  it('does not listen on IPv6 where there is none', () => {
    expect(siteFile({ ...site, certificate: true }, { ...debian13, ipv6: false }).text).not.toContain('[::]');
  });

  it('hands only existing PHP files to the site’s own FPM', () => {
    const { text } = siteFile(php, debian13);
    expect(text).toContain(`    location ~ \\.php$ {
        try_files $uri =404;
        include fastcgi_params;
        fastcgi_param SCRIPT_FILENAME $realpath_root$fastcgi_script_name;
        fastcgi_param DOCUMENT_ROOT $realpath_root;
        fastcgi_param HTTP_PROXY "";
        fastcgi_pass unix:/run/chom-php/sabcdefghi.sock;
    }`);
  });

  it('does not show the source of PHP files of a static site', () => {
    const { text } = siteFile(site, debian13);
    expect(text).toContain('location ~* \\.(?:php|phar|phtml)$ {\n        return 404;');
    expect(text).not.toContain('fastcgi');
  });

  it('keeps hidden files to itself, before any other expression', () => {
    for (const each of [site, php]) {
      const { text } = siteFile(each, debian13);
      expect(text.indexOf('location ~')).toBe(text.indexOf('location ~ /\\.(?!well-known(?:/|$)) {'));
      expect(text).toContain('disable_symlinks if_not_owner from=$document_root;');
    }
  });

  it('can hold no name that means something to nginx', () => {
    const hostile = [
      'a.org;',
      'a.org{',
      'a org',
      "a'.org",
      'a.org\n}',
      '*.a.org',
      '~a.org',
      '$host.org',
      '_',
      'A.org',
      'a..org',
      '-a.org',
      'a.org.',
      '',
    ];
    expect(hostile.filter((name) => domainName.safeParse(name).success)).toEqual([]);
    holds(
      property(
        string({ unit: 'binary', maxLength: 40 }),
        (name) => !domainName.safeParse(name).success || /^[a-z0-9.-]+$/.test(name),
      ),
      { numRuns: 2000 },
    );
  });
});

describe('the shared nginx files', () => {
  it('answer an unknown name with nothing', () => {
    const { text, version } = defaultFile({ ports: [80, 443] }, debian13);
    expect(text).toContain('listen 80 default_server;');
    expect(text).toContain('return 444;');
    expect(text).toContain('ssl_reject_handshake on;');
    expect(text).toContain(`return 200 "${version}\\n";`);
  });

  it('leave a port to the default server that is there', () => {
    expect(defaultFile({ ports: [443] }, debian13).text).not.toContain('listen 80');
    expect(serversOf(defaultFile({ ports: [] }, debian13).text)).toEqual([]);
  });

  it('have a certificate to refuse with where nginx cannot refuse a handshake', () => {
    const { text } = defaultFile({ ports: [80, 443] }, { version: '1.18.0', ipv6: true });
    expect(text).not.toContain('ssl_reject_handshake');
    expect(text).toContain('ssl_certificate /var/lib/chom/tls/default/fullchain.pem;');
  });

  it('set nothing twice', () => {
    expect(httpFile(new Set())).toContain('server_names_hash_bucket_size 512;');
    const less = httpFile(new Set(['server_names_hash_bucket_size']));
    expect(less).not.toContain('server_names_hash_bucket_size');
    expect(less).toContain('include /etc/nginx/chom.d/*.conf;');
    expect(headersFile()).not.toContain('Strict-Transport-Security');
  });
});

describe('what a server has already', () => {
  it('is read from the dump of its configuration', () => {
    const said = `in=/etc/nginx/sites-enabled/theirs  listen 80 default_server
in=/etc/nginx/sites-enabled/theirs  listen [::]:443 ssl default_server
in=/etc/nginx/sites-enabled/theirs  listen 8080 default_server
in=/etc/nginx/sites-enabled/theirs  listen unix:/run/theirs.sock default_server
in=/etc/nginx/chom.d/000-default.conf     listen 80 default_server
in=/etc/nginx/conf.d/chom.conf server_names_hash_bucket_size 512
in=/etc/nginx/nginx.conf 	server_names_hash_max_size 1024
`;
    expect(parseForeign(said)).toEqual({
      stockSite: false,
      defaultPorts: [80, 443],
      settings: ['server_names_hash_max_size'],
    });
  });

  it.each([
    ['listen 80 default_server', [80]],
    ['listen 192.0.2.1 default_server', [80]],
    ['listen *:443 ssl default', [443]],
    ['listen 443 ssl', []],
    ['listen localhost default_server', [80]],
  ])('%s takes %j', (directive, ports) => {
    expect(parseForeign(`in=/etc/nginx/sites-enabled/x  ${directive}\n`).defaultPorts).toEqual(ports);
  });

  it('does not count the distribution’s unchanged welcome site', () => {
    const listen = 'in=/etc/nginx/sites-enabled/default  listen 80 default_server';
    expect(parseForeign(`stock=yes\n${listen}\n`)).toEqual({ stockSite: true, defaultPorts: [], settings: [] });
    expect(parseForeign(`${listen}\n`)).toMatchObject({ stockSite: false, defaultPorts: [80] });
  });

  it('is of this version', () => {
    expect(parseNginxFacts('nginx version: nginx/1.22.1\nipv6\n')).toEqual(debian12);
    expect(parseNginxFacts('nginx version: nginx/1.24.0 (Ubuntu)\n')).toEqual({ version: '1.24.0', ipv6: false });
    expect(atLeast('1.25.1', '1.25.1')).toBe(true);
    expect(atLeast('1.9.9', '1.25.1')).toBe(false);
    expect(atLeast('1.26', '1.25.1')).toBe(true);
    expect(atLeast('2', '1.25.1')).toBe(true);
  });
});

describe('the scripts', () => {
  it('are scripts to the shell of a host', () => {
    const all = [
      publishSite({ ...php, certificate: true }, debian13),
      unpublishSite(site),
      bootstrapNginx({ stockSite: true, defaultPorts: [], settings: [] }, debian13),
      bootstrapNginx({ stockSite: false, defaultPorts: [80], settings: [] }, { version: '1.18.0', ipv6: false }),
    ];
    for (const script of [askForeign(), ...all.flatMap(({ check, act }) => [check, act])]) {
      expect(execFileSync('dash', ['-n'], { input: script.script, encoding: 'utf8' })).toBe('');
    }
  });

  it('take the welcome site away first, and let nginx read ours last', () => {
    const { act } = bootstrapNginx({ stockSite: true, defaultPorts: [], settings: [] }, debian13);
    const swaps = [
      ...act.script.toString().matchAll(/(?:rm -f "\$tree"\/|mv -fT "\$spare" "\$tree"\/)'([^']+)'(?!\/)/g),
    ];
    expect(swaps.map(([, path]) => path)).toEqual([
      'sites-enabled/default',
      'chom.d/headers.inc',
      'chom.d/000-default.conf',
      'conf.d/chom.conf',
    ]);
  });
});
