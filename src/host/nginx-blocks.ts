import { createHash } from 'node:crypto';
import { paths } from './paths.js';

/** What of a server decides how nginx is configured on it. */
export interface NginxFacts {
  /** As `nginx -v` prints it, for example `1.26.3`. */
  version: string;
  /** The kernel has IPv6: `listen [::]:80` is a fatal error without. */
  ipv6: boolean;
}

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

/** Whether version `a` is at least `b`, for dotted numbers. */
export function atLeast(a: string, b: string): boolean {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number));
  for (const [place, wanted] of (right ?? []).entries()) {
    const found = left?.[place] ?? 0;
    if (found !== wanted) return found > wanted;
  }
  return true;
}

/** In every port-80 server, before anything that redirects: a server-level `return` would hide it. */
export function acme(): string[] {
  return ['location ^~ /.well-known/acme-challenge/ {', `    root ${paths.acme};`, '    default_type text/plain;', '}'];
}

/** Where a file says its own version. */
export function answer(name = 'chom-version'): string[] {
  return [
    `location = /.well-known/${name} {`,
    '    default_type text/plain;',
    '    access_log off;',
    `    return 200 "${PLACEHOLDER}\\n";`,
    '}',
  ];
}

/** What is spoken over TLS. */
export function protocols(): string[] {
  return ['ssl_protocols TLSv1.2 TLSv1.3;', `ssl_ciphers ${CIPHERS};`, 'ssl_prefer_server_ciphers off;'];
}

/** `http2 on;` is a fatal unknown directive before 1.25.1, and the parameter of `listen` is deprecated from there on. */
function hasHttp2Directive(facts: NginxFacts): boolean {
  return atLeast(facts.version, '1.25.1');
}

export function http2(facts: NginxFacts): string[] {
  return hasHttp2Directive(facts) ? ['http2 on;'] : [];
}

export function listen(port: 80 | 443, facts: NginxFacts, parameters = ''): string[] {
  const http2Parameter = port === 443 && !hasHttp2Directive(facts) ? ' http2' : '';
  const addresses = facts.ipv6 ? [`${port}`, `[::]:${port}`] : [`${port}`];
  return addresses.map((address) => `listen ${address}${parameters}${http2Parameter};`);
}

export function server(lines: string[]): string {
  return `server {\n${lines.map((line) => (line === '' ? '' : `    ${line}`)).join('\n')}\n}\n`;
}

const PLACEHOLDER = '0'.repeat(32);

/** The version is the hash of the text with zeros in its place, so that any change of the text changes it. */
export function versioned(text: string): NginxFile {
  const version = createHash('sha256').update(text).digest('hex').slice(0, PLACEHOLDER.length);
  return { text: text.replaceAll(PLACEHOLDER, version), version };
}
