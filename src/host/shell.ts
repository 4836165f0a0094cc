/**
 * The one place that quotes. A script is made by the tag `sh`, which quotes every value that is put into it; nothing
 * else in CHOM concatenates a value into a shell line.
 *
 * `sh` quotes strings and numbers as one word, arrays as several words, and nests scripts as they are.
 */
export interface Script {
  readonly script: Buffer;
}
type Value = string | number | Buffer | Script | readonly (string | number | Buffer)[];

/** Builds a script for a POSIX shell (dash). Throws a RangeError for a value that holds NUL. */
export declare function sh(strings: TemplateStringsArray, ...values: Value[]): Script;
