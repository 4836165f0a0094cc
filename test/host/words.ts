import * as fc from 'fast-check';

/** What a shell would take apart, expand, run or drop if one quote were missing. */
const HOSTILE = [
  String.raw`|' '|''|"|\|\'|'\''|%s|%|\c|-e \n|-n|--|~|~root|*|?|[a-z]|!|!!|#|;|&|&&|>|>/dev/null|<|(|)|{|}|{a,b}|=|a=b`.split(
    '|',
  ),
  [
    '|',
    '||',
    '`',
    '`id`',
    '$(id)',
    '${HOME}',
    '$HOME',
    '$$',
    ' ',
    '  ',
    '\n',
    '\n\n',
    '\t',
    '\r\n',
    '\u0001',
    '\u007f',
  ],
  ['ä', '日本', '\u{1f600}', '\u202e', '\u0081\u0088'],
].flat();

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
