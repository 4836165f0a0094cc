import { expect, test } from 'vitest';
import { parseSmtpRelay } from '../../src/client/smtp-relay.js';

test.each([
  ['mail.example.org', 'mail.example.org:25'],
  ['Mail.Example.org:587', 'mail.example.org:587'],
  ['192.0.2.25:2525', '192.0.2.25:2525'],
  ['relay', 'relay:25'],
  ['[2001:db8::25]', '[2001:db8::25]:25'],
  ['[::1]:465', '[::1]:465'],
  ['none', null],
])('%s is %s', (text, relay) => {
  expect(parseSmtpRelay(text)).toBe(relay);
});

test.each(['', ':25', 'mail:0', 'mail:65536', 'mail:x', '2001:db8::25', '[mail]:25', '-mail', 'a b', 'a\nb'])(
  '%j is none',
  (text) => expect(() => parseSmtpRelay(text)).toThrow('is no SMTP relay'),
);
