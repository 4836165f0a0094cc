import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { failure } from '../workflows/failures.js';
import { domainName } from '../workflows/plans.js';
import { quoted } from './text.js';

/** Everything that Unicode lets a name hold, before IDNA decides; the four full stops are those of RFC 3490. */
const NAME_CHARACTERS = /^(?:[\p{L}\p{N}\p{M}.\u3002\uff0e\uff61-]|\u200c|\u200d)+$/u;

/**
 * A domain as an operator writes it, as the lower-case ASCII name that DNS knows (UTS #46; `münchen.example` →
 * `xn--mnchen-3ya.example`). `what` says where it was given.
 * @throws InvalidInput saying what is wrong with it
 */
export function parseDomain(text: string, what = 'domain'): string {
  const refuse = (why: string, next?: string) =>
    failure('InvalidInput', `${quoted(text)} is no ${what}`, { cause: why, ...(next !== undefined && { next }) });
  if (text.trim() === '') throw failure('InvalidInput', `The ${what} is empty`);
  if (/^[a-z]+:\/\//i.test(text)) throw refuse('it is a URL', `write the name alone`);
  if (isIP(text) !== 0) throw refuse('it is an IP address, for which no site can be made');
  if (/(^|\.)(\d+|0x[\da-f]*)\.?$/i.test(text))
    throw refuse('its last part is a number, and no top-level domain is one');
  if (!NAME_CHARACTERS.test(text)) {
    const [character = ''] = Array.from(text).filter((one) => !NAME_CHARACTERS.test(one));
    throw refuse(`it holds ${quoted(character)}, and a name is made of letters, digits, hyphens and dots`);
  }
  // The dot of the root names the same domain.
  const ascii = domainToASCII(text).replace(/\.$/, '');
  if (ascii === '') throw refuse('it is not a name that IDNA allows');
  if (ascii.length > 253) throw refuse(`it has ${ascii.length} characters, and DNS allows 253`);
  const labels = ascii.split('.');
  if (labels.includes('')) throw refuse('two dots follow each other, or it begins with one');
  const long = labels.find((label) => label.length > 63);
  if (long !== undefined) throw refuse(`a part of it has ${long.length} characters, and DNS allows 63`);
  if (labels.some((label) => label.startsWith('-') || label.endsWith('-'))) {
    throw refuse('a part of it begins or ends with a hyphen');
  }
  if (labels.length < 2) throw refuse('it has one part only, as example in example.org');
  const parsed = domainName.safeParse(ascii);
  if (!parsed.success) throw refuse('its last part is no top-level domain');
  return parsed.data;
}
