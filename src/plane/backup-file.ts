import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { openFromRecovery, sealToRecovery } from '../inventory/recovery.js';
import { failure } from '../workflows/failures.js';
import { nameAndMessageOf } from '../workflows/thrown.js';
import { openChunks, sealChunks } from './chunks.js';
import { manifestText, type Manifest, type PartName } from './manifest.js';

/**
 * One file: this line, a line of JSON that is the header, and the body, which is encrypted or not: the manifest's length in
 * four bytes, the manifest, and the parts that it names, one after the other.
 */
const MAGIC = 'chom-backup1\n';
const HEADER_LIMIT = 4096;
const MANIFEST_LIMIT = 16 * 1024 * 1024;

const headerText = z.discriminatedUnion('encrypted', [
  z.strictObject({ encrypted: z.literal(false), manifestSha256: z.string() }),
  /** `key`: the key of this file alone, sealed to the recovery key `recovery`. */
  z.strictObject({ encrypted: z.literal(true), recovery: z.string(), key: z.string() }),
]);
type Header = z.infer<typeof headerText>;

/** What opens an encrypted backup: the private half of the recovery key, or, of one just made, its own key. */
export type Opener = { recoveryKey: string } | { dataKey: Buffer } | null;

/** What was written. */
export interface Written {
  bytes: number;
  sha256: string;
  /** Of an encrypted one; kept nowhere. */
  dataKey: Buffer | null;
}

/** Where a part comes from. */
export type PartSource = { file: string } | { bytes: Buffer };

/**
 * Writes a backup into a new file (0600), to the disk. With `recovery`, the public half of the recovery key, all but the header
 * is encrypted while it is written.
 */
export async function writeBackup(
  file: string,
  { manifest, parts, recovery }: { manifest: Manifest; parts: ReadonlyMap<PartName, PartSource>; recovery?: string },
): Promise<Written> {
  const text = Buffer.from(JSON.stringify(manifest));
  const dataKey = recovery === undefined ? null : randomBytes(32);
  const header: Header =
    recovery !== undefined && dataKey
      ? { encrypted: true, recovery, key: sealToRecovery(recovery, dataKey) }
      : { encrypted: false, manifestSha256: createHash('sha256').update(text).digest('hex') };
  const head = Buffer.from(`${MAGIC}${JSON.stringify(header)}\n`);
  const hash = createHash('sha256');
  let bytes = 0;
  async function* all(): AsyncGenerator<Buffer> {
    const body = plain(text, manifest, parts);
    yield head;
    yield* dataKey ? sealChunks(dataKey, digestOf(head), body) : body;
  }
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const some of all()) {
      hash.update(some);
      bytes += some.length;
      yield some;
    }
  }
  await pipeline(Readable.from(counted()), createWriteStream(file, { flags: 'wx', mode: 0o600, flush: true }));
  return { bytes, sha256: hash.digest('hex'), dataKey };
}

async function* plain(
  text: Buffer,
  { parts }: Manifest,
  sources: ReadonlyMap<PartName, PartSource>,
): AsyncGenerator<Buffer> {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  yield length;
  yield text;
  for (const { name } of parts) {
    const source = sources.get(name);
    if (!source) throw failure('Bug', `The backup names a part ${name} that nobody made`);
    if ('bytes' in source) yield source.bytes;
    else yield* createReadStream(source.file) as AsyncIterable<Buffer>;
  }
}

/** Whether a backup is encrypted, and to whom, without opening it. @throws BackupDamaged it is none */
export async function readHeader(file: string): Promise<Header> {
  return (await headOf(file)).header;
}

/**
 * Takes a backup apart into a directory, a file for each part, and checks every byte of it.
 * @throws BackupDamaged it is none, or not whole any more; Forbidden it is for another key, or nobody gave one
 */
export async function readBackup(file: string, directory: string, opener: Opener): Promise<Manifest> {
  const { header, head } = await headOf(file);
  const key = header.encrypted ? dataKeyOf(file, header, opener) : null;
  const rest = createReadStream(file, { start: head.length }) as AsyncIterable<Buffer>;
  const body = reader(key ? openChunks(key, digestOf(head), rest) : rest);
  try {
    const length = (await body.take(4)).readUInt32BE(0);
    if (length > MANIFEST_LIMIT) throw new Error('its manifest is of no size that it could have');
    const text = await body.take(length);
    if (!header.encrypted && createHash('sha256').update(text).digest('hex') !== header.manifestSha256) {
      throw new Error('its manifest was changed');
    }
    const manifest = manifestText.parse(JSON.parse(text.toString()));
    for (const { name, bytes, sha256 } of manifest.parts) {
      const hash = createHash('sha256');
      async function* part(): AsyncGenerator<Buffer> {
        for await (const some of body.next(bytes)) {
          hash.update(some);
          yield some;
        }
      }
      await pipeline(Readable.from(part()), createWriteStream(join(directory, name), { flags: 'wx', mode: 0o600 }));
      if (hash.digest('hex') !== sha256) throw new Error(`its part ${name} was changed`);
    }
    await body.end();
    return manifest;
  } catch (error) {
    throw damaged(file, nameAndMessageOf(error));
  }
}

async function headOf(file: string): Promise<{ header: Header; head: Buffer }> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    const cause = String(Reflect.get(Object(error), 'code'));
    throw failure('NotFound', `The backup ${file} cannot be read`, { cause });
  });
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEADER_LIMIT), 0, HEADER_LIMIT, 0);
    const end = buffer.subarray(0, bytesRead).indexOf('\n', MAGIC.length);
    if (buffer.toString('latin1', 0, MAGIC.length) !== MAGIC || end < 0) throw new Error('it does not begin like one');
    const header = headerText.parse(JSON.parse(buffer.toString('utf8', MAGIC.length, end)));
    return { header, head: Buffer.from(buffer.subarray(0, end + 1)) };
  } catch (error) {
    throw damaged(file, nameAndMessageOf(error));
  } finally {
    await handle.close();
  }
}

function dataKeyOf(file: string, header: Extract<Header, { encrypted: true }>, opener: Opener): Buffer {
  if (opener === null) {
    throw failure('Forbidden', `The backup ${file} is encrypted`, {
      cause: 'only the recovery key opens it, which lies away from CHOM',
      next: 'give it with --recovery-key FILE',
    });
  }
  return 'dataKey' in opener ? opener.dataKey : openFromRecovery(opener.recoveryKey, header.key);
}

function damaged(file: string, cause: string) {
  return failure('BackupDamaged', `${file} is no backup that can be used`, {
    cause,
    next: 'take another one: chom recovery-kit lists those that lie here',
  });
}

function digestOf(head: Buffer): Buffer {
  return createHash('sha256').update(head).digest();
}

/** A stream that is taken apart by length. */
function reader(stream: AsyncIterable<Buffer>) {
  const source = stream[Symbol.asyncIterator]();
  let held: Buffer = Buffer.alloc(0);
  async function more(): Promise<boolean> {
    const { value, done } = await source.next();
    if (done !== true) held = value;
    return done !== true;
  }
  async function* next(length: number): AsyncGenerator<Buffer> {
    for (let left = length; left > 0;) {
      while (held.length === 0) if (!(await more())) throw new Error('it ends too early');
      const some = held.subarray(0, left);
      held = held.subarray(some.length);
      left -= some.length;
      yield some;
    }
  }
  return {
    next,
    async take(length: number): Promise<Buffer> {
      const parts: Buffer[] = [];
      for await (const some of next(length)) parts.push(some);
      return Buffer.concat(parts);
    },
    /** To the last chunk, which alone tells that nothing is missing. */
    async end(): Promise<void> {
      do if (held.length > 0) throw new Error('something follows it');
      while (await more());
    },
  };
}
