import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { failure } from '../workflows/failures.js';
import type { Source } from '../workflows/plans.js';

/** Something published, and the hash that it must have. */
export type Release = Pick<Extract<Source, { kind: 'release' }>, 'url' | 'sha256'>;

/** WordPress has about 30 MB, restic 10. */
const LIMIT_BYTES = 256 * 1024 * 1024;
const FETCH_MILLISECONDS = 10 * 60_000;

/**
 * The bytes of a release, fetched once and kept in `<home>/releases` under their hash. What is kept is proved again by
 * whoever reads it: the server compares the hash of what arrives.
 * @throws SourceUnavailable it cannot be fetched; SourceRejected it is something else than announced
 */
export async function releaseContent(
  home: string,
  release: Release,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const directory = join(home, 'releases');
  const file = join(directory, release.sha256);
  if (!(await isThere(file))) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    // Two at once fetch it twice, and the second takes the first one's place.
    const part = `${file}.${randomBytes(6).toString('hex')}.part`;
    try {
      await fetchTo(part, release, signal);
      await rename(part, file);
    } finally {
      await rm(part, { force: true });
    }
  }
  return reading(file);
}

/** Opens the file when the first of it is asked for: often nobody does. */
async function* reading(file: string): AsyncGenerator<Uint8Array> {
  yield* createReadStream(file) as AsyncIterable<Uint8Array>;
}

async function fetchTo(path: string, { url, sha256 }: Release, signal: AbortSignal): Promise<void> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(FETCH_MILLISECONDS)]);
  const hash = createHash('sha256');
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const chunk of body(url, deadline, signal)) {
      hash.update(chunk);
      await file.write(chunk);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  const found = hash.digest('hex');
  if (found === sha256) return;
  throw failure('SourceRejected', `What ${url} gives is not what was announced`, {
    cause: `its SHA-256 is ${found}, expected was ${sha256}`,
    next: 'compare its address and checksum in the settings (CHOM_…_URL, CHOM_…_SHA256) with what the publisher says',
  });
}

async function* body(url: string, deadline: AbortSignal, cancelled: AbortSignal): AsyncIterable<Uint8Array> {
  const away = (cause: string) =>
    failure('SourceUnavailable', `${url} cannot be fetched`, { cause, next: `curl -fLo /dev/null ${url}` });
  try {
    const answer = await fetch(url, { signal: deadline });
    if (!answer.ok || answer.body === null) throw away(`the answer is HTTP ${answer.status}`);
    let bytes = 0;
    for await (const chunk of answer.body) {
      bytes += chunk.length;
      if (bytes > LIMIT_BYTES) throw failure('SourceRejected', `${url} gives more than ${LIMIT_BYTES} bytes`);
      yield chunk;
    }
  } catch (error) {
    cancelled.throwIfAborted();
    // fetch says "fetch failed", and why only in the cause.
    if (error instanceof TypeError) throw away(error.cause instanceof Error ? error.cause.message : error.message);
    if (deadline.aborted) throw away(`it took more than ${FETCH_MILLISECONDS / 60_000} minutes`);
    throw error;
  }
}

async function isThere(file: string): Promise<boolean> {
  return await stat(file).then(
    (about) => about.isFile(),
    () => false,
  );
}
