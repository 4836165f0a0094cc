import type { Context } from 'hono';
import { checkedArchive, UPLOAD_LIMIT_BYTES } from '../client/source.js';
import { randomId } from '../client/submit.js';
import * as uploads from '../inventory/uploads.js';
import type { Env } from './app.js';
import { Refusal } from './problem.js';

export const UPLOAD_PATH = '/v1/uploads';

/** How many of a tenant may wait, or arrive, at once: so much of the inventory's disk is anybody's. */
const MOST_WAITING = 4;

/**
 * Takes an archive in as it arrives, sealed, for a site that is asked for within the hour.
 * @throws Refusal; InvalidInput it is no archive
 */
export async function takeUpload(c: Context<Env>): Promise<Response> {
  // Whoever is refused may still be sending.
  c.header('Connection', 'close');
  const chom = c.get('chom');
  if (Number(c.req.header('Content-Length') ?? 0) > UPLOAD_LIMIT_BYTES) throw tooLarge();
  const { body } = c.req.raw;
  const [type = ''] = (c.req.header('Content-Type') ?? '').split(';');
  if (type.trim().toLowerCase() !== 'application/octet-stream') {
    throw new Refusal(415, 'The body is no archive', { next: 'Content-Type: application/octet-stream' });
  }
  const upload = `upload-${randomId(26)}`;
  const archive = checkedArchive(bounded(body ?? []), 'the upload');
  const kept = await uploads.put(chom, uploads.waitingId(chom.tenant, upload), archive, {
    limitBytes: UPLOAD_LIMIT_BYTES,
    async admit(trx) {
      if ((await uploads.countWaiting(trx, chom.tenant)) < MOST_WAITING) return;
      throw new Refusal(429, `${MOST_WAITING} uploads wait to be used`, {
        cause: 'each is kept for an hour, or until a site is asked for with it',
        headers: { 'Retry-After': '600' },
      });
    },
  });
  return c.json({ upload, ...kept }, 201);
}

async function* bounded(content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let size = 0;
  for await (const bytes of content) {
    size += bytes.length;
    if (size > UPLOAD_LIMIT_BYTES) throw tooLarge();
    yield bytes;
  }
}

function tooLarge(): Refusal {
  return new Refusal(413, `The archive has more than ${UPLOAD_LIMIT_BYTES / 1024 / 1024} MiB`, {
    next: 'give the URL of a git repository, which the server fetches itself',
  });
}
