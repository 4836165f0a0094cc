import { type ChildProcess, spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { createInterface } from 'node:readline';
import { failure } from '../workflows/failures.js';
import type { Source } from '../workflows/plans.js';
import { parseGitUrl } from './git-url.js';
import { quoted } from './text.js';

/** Where a new site's files come from: something that the server fetches, or bytes that are uploaded to it. */
export type SiteSource =
  | { kind: 'plan'; plan: Source }
  | { kind: 'archive'; what: string; content: () => AsyncIterable<Uint8Array> };

/** What may be uploaded at most, as an archive. */
export const UPLOAD_LIMIT_BYTES = 512 * 1024 * 1024;

/** What it may take to arrive over a slow line, in milliseconds; on a connection where nothing moves it ends sooner. */
export const UPLOAD_MS = 900_000;

/** By so much an archive is known for what it is. */
const HEAD_BYTES = 512;

/**
 * What `--from` means: a directory, a tar archive (gzip or not), or the https or ssh URL of a git repository.
 * @throws InvalidInput it is nothing of that, cannot be read, or is too large
 */
export async function parseSource(text: string | undefined): Promise<SiteSource> {
  if (text === undefined) return { kind: 'plan', plan: { kind: 'placeholder' } };
  if (text.trim() === '') throw failure('InvalidInput', '--from is empty');
  const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  if (isUrl) return { kind: 'plan', plan: parseGitUrl(text) };
  const path = resolve(text);
  const about = await stat(path).catch((error: unknown) => {
    throw unreadable(text, error);
  });
  if (about.isDirectory()) return await directory(path, text);
  if (!about.isFile()) throw refuse(text, 'it is neither a directory nor a file');
  if (about.size > UPLOAD_LIMIT_BYTES) throw tooLarge(text);
  await checkArchive(path, text);
  return { kind: 'archive', what: text, content: () => createReadStream(path) };
}

async function directory(path: string, text: string): Promise<SiteSource> {
  const entries = await readdir(path).catch((error: unknown) => {
    throw unreadable(text, error);
  });
  if (entries.length === 0) throw refuse(text, 'the directory is empty');
  return { kind: 'archive', what: text, content: () => pack(path, text) };
}

/** The directory as a gzipped archive, every name in it relative to the directory. */
async function* pack(path: string, text: string): AsyncIterable<Uint8Array> {
  // COPYFILE_DISABLE: else macOS adds a ._ file for each that has attributes.
  const environment = { ...process.env, LC_ALL: 'C', COPYFILE_DISABLE: '1' };
  const tar = spawn('tar', ['-czf', '-', '-C', path, '.'], { stdio: ['ignore', 'pipe', 'pipe'], env: environment });
  const ended = end(tar);
  try {
    for await (const chunk of tar.stdout) yield chunk as Uint8Array;
    const problem = await ended;
    if (problem !== null) throw refuse(text, `tar could not pack it: ${problem}`);
  } finally {
    tar.kill();
    await ended;
  }
}

/** Reads the archive through once, so that what cannot be unpacked is refused here and not on the server. */
async function checkArchive(path: string, text: string): Promise<void> {
  const head = Buffer.alloc(HEAD_BYTES);
  const file = await open(path, 'r').catch((error: unknown) => {
    throw unreadable(text, error);
  });
  const { bytesRead } = await file.read(head, 0, head.length, 0);
  await file.close();
  archiveKind(head.subarray(0, bytesRead), text);
  await checkNames(listing(['-tf', path], 'ignore'), text);
}

/**
 * The same of an archive that arrives: what passes is what came. What is wrong with it is found when its end has come at the latest, and before
 * whoever reads hears of that end. @throws InvalidInput it is no archive that can be unpacked, or one that leaves its directory
 */
export async function* checkedArchive(content: AsyncIterable<Uint8Array>, text: string): AsyncIterable<Uint8Array> {
  let head: Buffer = Buffer.alloc(0);
  let tar: ChildProcess | null = null;
  let named: Promise<unknown> = Promise.resolve();
  const begin = () => {
    const gzip = archiveKind(head, text) === 'gzip';
    const started = listing([gzip ? '-tzf' : '-tf', '-'], 'pipe');
    // Whatever follows the archive's own end is nothing that it reads.
    started.stdin?.on('error', () => undefined);
    named = checkNames(started, text).then(
      () => null,
      (error: unknown) => error,
    );
    tar = started;
    return started;
  };
  const feed = async ({ stdin }: ChildProcess, bytes: Uint8Array) => {
    if (!stdin || stdin.destroyed || stdin.write(bytes)) return;
    await Promise.race([new Promise((drained) => stdin.once('drain', drained)), named]);
  };
  try {
    for await (const bytes of content) {
      if (tar) await feed(tar, bytes);
      else {
        head = Buffer.concat([head, bytes]);
        if (head.length >= HEAD_BYTES) await feed(begin(), head);
      }
      yield bytes;
    }
    const last = tar ?? begin();
    if (head.length < HEAD_BYTES) await feed(last, head);
    last.stdin?.end();
    const problem = await named;
    if (problem !== null) throw problem;
  } finally {
    (tar as ChildProcess | null)?.kill();
    await named;
  }
}

function archiveKind(head: Buffer, text: string): 'gzip' | 'plain' {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  if (head.length >= HEAD_BYTES && head.toString('latin1', 257, 262) === 'ustar') return 'plain';
  throw refuse(text, 'it is no tar archive, plain or with gzip');
}

function listing(words: string[], stdin: 'ignore' | 'pipe') {
  const tar = spawn('tar', words, { stdio: [stdin, 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
  return tar as ChildProcess & { stdout: Readable };
}

/** Reads what tar lists, and ends it. @throws InvalidInput */
async function checkNames(tar: ChildProcess & { stdout: Readable }, text: string): Promise<void> {
  const ended = end(tar);
  let entries = 0;
  try {
    for await (const name of createInterface({ input: tar.stdout })) {
      entries += 1;
      const outside = name.startsWith('/') || name.split('/').includes('..');
      if (outside) throw refuse(text, `it holds ${quoted(name)}, which would lie outside the site`);
    }
    const problem = await ended;
    if (problem !== null) throw refuse(text, `it cannot be read as a tar archive: ${problem}`);
    if (entries === 0) throw refuse(text, 'the archive is empty');
  } finally {
    tar.kill();
    await ended;
  }
}

/** Null when it ended well, else the last of what it said. */
async function end(tar: ReturnType<typeof spawn>): Promise<string | null> {
  let said = '';
  tar.stderr?.on('data', (chunk: Buffer) => (said = (said + chunk.toString('utf8')).slice(-500)));
  return await new Promise((resolved) => {
    tar.once('error', (error) => resolved(error.message));
    tar.once('close', (code, signal) => {
      resolved(code === 0 ? null : (said.trim().split('\n').at(-1) ?? '') || `it ended with ${code ?? signal}`);
    });
  });
}

function tooLarge(text: string) {
  return failure('InvalidInput', `${quoted(text)} is larger than ${UPLOAD_LIMIT_BYTES / 1024 / 1024} MiB`, {
    next: 'give the URL of a git repository, which the server fetches itself',
  });
}

function unreadable(text: string, error: unknown) {
  const code: unknown = Reflect.get(Object(error), 'code');
  if (code !== 'ENOENT') return refuse(text, code === 'EACCES' ? 'you may not read it' : String(code));
  const [, login, rest] = /^([\w.-]+@[\w.-]+):(.*)$/.exec(text) ?? [];
  if (login !== undefined) return refuse(text, 'there is no such file', `for git: --from ssh://${login}/${rest ?? ''}`);
  return refuse(text, 'there is no such file or directory');
}

function refuse(text: string, cause: string, next?: string) {
  const details = { cause, ...(next !== undefined && { next }) };
  return failure('InvalidInput', `A site cannot be made from ${quoted(text)}`, details);
}
