import { X509Certificate } from 'node:crypto';
import type { RenewalWindow } from '../inventory/renewal-schedule.js';
import { isWindow } from '../inventory/renewal-schedule.js';
import type { Authorities } from './authorities.js';

/** What an authority says of when a certificate is to be renewed (RFC 9773 §4.2). */
export interface RenewalInfo {
  window: RenewalWindow;
  /** A page on which it says why. */
  explanation: string | null;
  /** Seconds until it is worth asking again; null where it did not say. */
  retryAfterSeconds: number | null;
}

// Authority key identifier (RFC 5280 §4.2.1.1), as an OBJECT IDENTIFIER in DER.
const KEY_IDENTIFIER = Buffer.from('0603551d23', 'hex');

/**
 * By what an authority knows a certificate of its own (RFC 9773 §4.1): the identifier of its issuer's key and its serial number,
 * each base64url. Null where it names no such key. `chain`: PEM, the leaf first.
 */
export function renewalInfoId(chain: string): string | null {
  const leaf = new X509Certificate(chain);
  const key = issuerKey(leaf.raw);
  if (key === null) return null;
  let serial = Buffer.from(
    leaf.serialNumber.padStart(leaf.serialNumber.length + (leaf.serialNumber.length % 2), '0'),
    'hex',
  );
  // DER puts a zero before a first byte that would make it negative; Node leaves it out.
  if (((serial[0] ?? 0) & 0x80) !== 0) serial = Buffer.concat([Buffer.of(0), serial]);
  return `${key.toString('base64url')}.${serial.toString('base64url')}`;
}

/** SEQUENCE { [0] keyIdentifier, … } inside an OCTET STRING, all shorter than 128 bytes; else null. */
function issuerKey(der: Buffer): Buffer | null {
  for (let at = der.indexOf(KEY_IDENTIFIER); at >= 0; at = der.indexOf(KEY_IDENTIFIER, at + 1)) {
    const [octets, length, sequence, inner, tag, size = 0] = der.subarray(at + KEY_IDENTIFIER.length);
    const found = octets === 0x04 && sequence === 0x30 && tag === 0x80 && size > 0 && size < 0x80;
    if (!found || length !== (inner ?? 0) + 2 || size + 2 > (inner ?? 0)) continue;
    const start = at + KEY_IDENTIFIER.length + 6;
    return der.subarray(start, start + size);
  }
  return null;
}

/**
 * Asks the authority that issued a certificate when it is to be renewed. Null where it offers no such thing, or where CHOM does
 * not know (any more) who that was. Throws what the exchange throws, and Error for an answer that is no window.
 */
export async function askRenewalInfo(
  authorities: Authorities,
  { chain, authority: directory }: { chain: string; authority: string | null },
): Promise<RenewalInfo | null> {
  const id = renewalInfoId(chain);
  const authority = directory === null ? null : await authorities.of(directory);
  if (id === null || authority === null) return null;
  const answer = await authority.renewalInfo(id);
  if (answer === null) return null;
  const { window, explanation, retryAfterSeconds } = answer;
  if (window === null || !isWindow(window)) throw new Error(`${authority.host} tells no window in which to renew`);
  return { window, explanation, retryAfterSeconds };
}
