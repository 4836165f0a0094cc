import fc from 'fast-check';

/** What a shell would take apart, expand, run or drop if one quote were missing. */
const HOSTILE = [
  ...[
    '',
    ' ',
    '  ',
    '\n',
    '\n\n',
    '\t',
    '\r\n',
    "'",
    "''",
    '"',
    '\\',
    "\\'",
    "'\\''",
    '`',
    '`id`',
    '$(id)',
    '${HOME}',
    '$HOME',
    '$$',
  ],
  ...[
    '*',
    '?',
    '[a-z]',
    '~',
    '~root',
    '-n',
    '--',
    '-e \\n',
    '%s',
    '%',
    '\\c',
    '!',
    '!!',
    '#',
    ';',
    '&',
    '&&',
    '|',
    '>',
    '>/dev/null',
  ],
  ...[
    '<',
    '(',
    ')',
    '{',
    '}',
    '{a,b}',
    '=',
    'a=b',
    'ä',
    '日本',
    '\u{1f600}',
    '\u202e',
    '\u0000'.replace('\u0000', '\u0001'),
    '\u007f',
  ],
];

const hostile = fc.constantFrom(...HOSTILE).map((text) => Buffer.from(text));
const text = fc.string({ unit: 'grapheme', maxLength: 24 }).map((value) => Buffer.from(value.replaceAll('\0', '')));
const binary = fc.uint8Array({ min: 1, maxLength: 24 }).map((bytes) => Buffer.from(bytes));

/** Bytes that may be an argument: hostile pieces, Unicode, and what is no UTF-8 at all. Never NUL. */
export const words = fc.oneof(
  hostile,
  text,
  binary,
  fc.array(fc.oneof(hostile, text, binary), { maxLength: 6 }).map((parts) => Buffer.concat(parts)),
);
