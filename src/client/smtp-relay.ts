import { isIP } from 'node:net';
import { failure } from '../workflows/failures.js';
import { quoted } from './text.js';

const HOST =
  /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;

/**
 * `HOST[:PORT]` as `host:port`, an IPv6 address in brackets; port 25 unless said. `none` is null.
 * @throws InvalidInput
 */
export function parseSmtpRelay(text: string): string | null {
  if (text === 'none') return null;
  const [, bracketed, plain, digits = '25'] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const port = Number(digits);
  const valid = bracketed === undefined ? plain !== undefined && HOST.test(plain) : isIP(bracketed) === 6;
  if (valid && port >= 1 && port <= 65_535) {
    return `${bracketed === undefined ? (plain ?? '').toLowerCase() : `[${bracketed}]`}:${port}`;
  }
  throw failure('InvalidInput', `${quoted(text)} is no SMTP relay`, {
    cause: 'it is HOST or HOST:PORT, an IPv6 address in brackets, or none',
    next: '--smtp-relay mail.example.org:25',
  });
}
