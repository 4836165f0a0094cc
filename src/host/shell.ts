/**
 * The one place that quotes. A script is made by the tag `sh`, which quotes every value that is put into it; nothing
 * else in CHOM concatenates a value into a shell line.
 *
 * `sh` quotes strings and numbers as one word, arrays as several words, and nests scripts as they are.
 */
export interface Script {
  readonly script: Buffer;
}
type Word = string | number | Buffer;
type Value = Word | Script | readonly Word[];

/**
 * Builds a script for a POSIX shell (dash). Throws a RangeError for a value that holds NUL or is not a finite number.
 *
 * The text between the values reaches the shell as it is written: backslashes stay (`\n`, `\.`, a `\` at the end of a
 * line), only `\${` and a backslash before a backtick lose theirs, because TypeScript demands it there.
 * A value is always a whole quoted word: write sh`--name=${x}`, never sh`"${x}"`.
 */
export function sh(strings: TemplateStringsArray, ...values: Value[]): Script {
  const parts = strings.raw.flatMap((text, index) => {
    const value = values[index];
    const written = Buffer.from(text.replaceAll(/\\(`|\$\{)/g, '$1'));
    return value === undefined ? [written] : [written, bytesOf(value)];
  });
  return { script: Buffer.concat(parts) };
}

/** Joins scripts by `separator`, which is shell text of CHOM's own; by lines unless told otherwise. */
export function join(
  scripts: readonly Script[],
  separator: '\n' | ' && ' | ' || ' | ' | ' | '; ' | ' ' = '\n',
): Script {
  return {
    script: Buffer.concat(scripts.flatMap(({ script }, n) => (n === 0 ? [script] : [Buffer.from(separator), script]))),
  };
}

export interface FileContent {
  /** Absolute, in a directory that only root can write. */
  path: string;
  content: string | Buffer;
  /** Octal, for example `0644`. */
  mode: string;
  /** `user:group`; root's unless given. */
  owner?: string;
}

/**
 * Writes a whole file so that a reader, a crash or a power cut finds either the old or the new one: beside it under a
 * hidden name (which no include with `*` matches), owner and mode set, fsync, rename, fsync of the directory.
 * The content passes through the shell's own printf, so that neither its size nor its secrecy meets an argv.
 * Exit 0 only when all of it was done; usable in any context, also without `set -e`.
 */
export function writeFile({ path, content, mode, owner = 'root:root' }: FileContent): Script {
  const slash = path.lastIndexOf('/');
  const directory = path.slice(0, slash) || '/';
  const aside = `${path.slice(0, slash)}/.${path.slice(slash + 1)}.new`;
  return sh`{ (umask 077 && ${bytesTo(content)} >${aside}) &&
chown -- ${owner} ${aside} && chmod -- ${mode} ${aside} && sync ${aside} &&
mv -fT -- ${aside} ${path} && sync ${directory}; }`;
}

/** Prints exactly these bytes, NUL included, without a program's argument. */
export function bytesTo(content: string | Buffer): Script {
  const bytes = Buffer.from(content);
  return bytes.includes(0) ? sh`printf %s ${bytes.toString('base64')} | base64 -d` : sh`printf %s ${bytes}`;
}

function bytesOf(value: Value): Buffer {
  if (typeof value === 'object' && 'script' in value) return value.script;
  if (Buffer.isBuffer(value) || typeof value !== 'object') return quoted(value);
  return Buffer.concat(value.flatMap((word, n) => (n === 0 ? [quoted(word)] : [Buffer.from(' '), quoted(word)])));
}

/** Inside single quotes a POSIX shell leaves every byte alone but the quote itself, which is closed, escaped, reopened. */
function quoted(word: Word): Buffer {
  if (typeof word === 'number' && !Number.isFinite(word)) throw new RangeError(`${word} is not a number for a shell`);
  const bytes = Buffer.isBuffer(word) ? word : Buffer.from(String(word));
  if (bytes.includes(0)) throw new RangeError('A NUL byte cannot be an argument of a program');
  const pieces: Buffer[] = [Buffer.from("'")];
  let from = 0;
  for (let at = bytes.indexOf(0x27); at !== -1; at = bytes.indexOf(0x27, from)) {
    pieces.push(bytes.subarray(from, at), Buffer.from(`'\\''`));
    from = at + 1;
  }
  pieces.push(bytes.subarray(from), Buffer.from("'"));
  return Buffer.concat(pieces);
}
