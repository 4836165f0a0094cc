import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { pipeline } from 'node:stream/promises';
import aws4 from 'aws4';
import type { StorageLogin } from '../inventory/storage-login.js';
import type { Storage } from '../inventory/storages.js';
import { DIRECTORY, uploadFailed, type Uploaded } from './uploaded.js';

type Login = Extract<StorageLogin, { kind: 's3' }>;

/** What the storage answered, or null where nothing of it is kept. */
interface Answer {
  status: number;
  text: string;
}

/** Nothing moves for so long: it is away. */
const SILENT_MS = 60_000;
/** Of an answer that is read by people and by us. */
const TEXT_BYTES = 1_048_576;
/** One request holds no more (Amazon S3 User Guide, "Uploading objects", read 2026-11). */
const MOST_BYTES = 5 * 1024 ** 3;
/** Where a bucket lies of which nobody says it. */
const REGION = 'us-east-1';

/**
 * One request with the hash of its body in its signature, so that the storage takes the whole file or nothing; then it is
 * read back. @throws StorageUnreachable; StorageRefused
 */
export async function uploadToS3(storage: Storage, login: Login, uploaded: Uploaded): Promise<string> {
  const { file, name, bytes, sha256 } = uploaded;
  const refused = (why: string) => uploadFailed(storage, 'StorageRefused', new Error(why));
  if (bytes > MOST_BYTES) throw refused('it has more than 5 GiB, which S3 does not take in one request');
  const address = new URL(`${storage.url.slice('s3:'.length)}/${DIRECTORY}/${name}`);
  const client = new S3Client(storage, login, await regionOf(storage, login, address));
  const put = await client.ask({ method: 'PUT', path: address.pathname, sha256, body: { file, bytes } });
  if (put.status !== 200) throw refused(told(put));
  const hash = createHash('sha256');
  const got = await client.ask({ method: 'GET', path: address.pathname, take: (some) => hash.update(some) });
  if (got.status !== 200) throw refused(`it cannot be read back: ${told(got)}`);
  if (hash.digest('hex') !== sha256) throw refused('what was read back is not what was written');
  return `s3:${address.href}`;
}

/** Removes those of the backups there that `pick` names. Returns their names. @throws StorageUnreachable; StorageRefused */
export async function removeFromS3(
  storage: Storage,
  login: Login,
  pick: (names: string[]) => string[],
): Promise<string[]> {
  const address = new URL(`${storage.url.slice('s3:'.length)}/${DIRECTORY}/`);
  const client = new S3Client(storage, login, await regionOf(storage, login, address));
  const [, bucket = '', ...path] = address.pathname.split('/');
  const prefix = path.join('/');
  // The first thousand, which the policy never reaches.
  const listed = await client.ask({
    method: 'GET',
    path: `/${bucket}?list-type=2&prefix=${encodeURIComponent(prefix)}`,
  });
  if (listed.status !== 200) throw uploadFailed(storage, 'StorageRefused', new Error(told(listed)));
  const keys = [...listed.text.matchAll(/<Key>([^<]+)<\/Key>/g)].map(([, key = '']) => key);
  const spare = pick(keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)));
  for (const name of spare) {
    const removed = await client.ask({ method: 'DELETE', path: `${address.pathname}${name}` });
    if (removed.status !== 204 && removed.status !== 200) {
      throw uploadFailed(storage, 'StorageRefused', new Error(told(removed)));
    }
  }
  return spare;
}

/** Who asks for it with a signature for another one is told which it is; who may not ask is told nothing. */
async function regionOf(storage: Storage, login: Login, { pathname }: URL): Promise<string> {
  const bucket = pathname.split('/')[1] ?? '';
  const client = new S3Client(storage, login, REGION);
  const answer = await client.ask({ method: 'GET', path: `/${bucket}?location=` });
  const { text } = answer;
  // Nobody gets in with that key: told before a large body is sent, of which the storage would end the connection.
  if (/<Code>(InvalidAccessKeyId|SignatureDoesNotMatch)</.test(text)) {
    throw uploadFailed(storage, 'StorageRefused', new Error(told(answer)));
  }
  return /<(?:LocationConstraint[^>]*|Region)>([a-z0-9-]+)</.exec(text)?.[1] ?? REGION;
}

interface Question {
  method: 'GET' | 'PUT' | 'DELETE';
  /** With what it asks for. */
  path: string;
  /** Of the body, hex; without a body there is nothing to sign. */
  sha256?: string;
  body?: { file: string; bytes: number };
  /** Takes the body of an answer that is no error. */
  take?: (some: Uint8Array) => unknown;
}

class S3Client {
  constructor(
    private readonly storage: Storage,
    private readonly login: Login,
    private readonly region: string,
  ) {}

  /** @throws StorageUnreachable nobody answers; StorageRefused its certificate is not one that counts */
  async ask({ method, path, sha256, body, take }: Question): Promise<Answer> {
    const { host, hostname, port } = new URL(this.storage.url.slice('s3:'.length));
    const headers: Record<string, string | number> = {
      Host: host,
      'X-Amz-Content-Sha256': sha256 ?? 'UNSIGNED-PAYLOAD',
      ...(body && { 'Content-Length': body.bytes, 'Content-Type': 'application/octet-stream' }),
    };
    const signed = aws4.sign({ method, path, host, headers, service: 's3', region: this.region }, this.login);
    try {
      const asking = request({
        ...{ method, path, hostname: hostname.replace(/^\[(.*)\]$/, '$1'), port: port || 443 },
        ...{ headers: signed.headers as Record<string, string | number>, timeout: SILENT_MS },
        ...(this.storage.ca !== null && { ca: this.storage.ca }),
      });
      asking.on('timeout', () => asking.destroy(new Error(`nothing moved for ${SILENT_MS / 1000} s`)));
      const answered = new Promise<IncomingMessage>((resolve, reject) => {
        asking.once('response', resolve);
        asking.once('error', reject);
      });
      // A storage that refuses need not have read all of it.
      if (body) await Promise.all([answered, pipeline(createReadStream(body.file), asking).catch(() => undefined)]);
      else asking.end();
      return await read(await answered, take);
    } catch (error) {
      const code = String(Reflect.get(Object(error), 'code') ?? '');
      const untrusted = /CERT|SIGNATURE|ALTNAME|SELF_SIGNED|ISSUER/.test(code);
      // One that refuses before it has read all of the body may end the connection before its answer is read.
      const cut = body !== undefined && /EPIPE|ECONNRESET/.test(code);
      throw uploadFailed(this.storage, untrusted || cut ? 'StorageRefused' : 'StorageUnreachable', error);
    }
  }
}

async function read(answer: IncomingMessage, take?: (some: Uint8Array) => unknown): Promise<Answer> {
  const status = answer.statusCode ?? 0;
  const parts: Buffer[] = [];
  let size = 0;
  for await (const some of answer as AsyncIterable<Buffer>) {
    if (take && status === 200) take(some);
    else if (size < TEXT_BYTES) parts.push(some);
    size += some.length;
  }
  return { status, text: Buffer.concat(parts).toString() };
}

/** In the words of the storage, where it has some. */
function told({ status, text }: Answer): string {
  const [, code = ''] = /<Code>(\w+)<\/Code>/.exec(text) ?? [];
  const [, message = ''] = /<Message>([^<]{1,200})/.exec(text) ?? [];
  return `it answered HTTP ${status}${code === '' ? '' : `, ${code}`}${message === '' ? '' : `: ${message}`}`;
}
