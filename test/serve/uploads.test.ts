import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import * as uploads from '../../src/inventory/uploads.js';
import { havingOf, serve, startTenants, type Tenants } from './tenants.js';
import { poll } from '../../lab/poll.js';

let tenants: Tenants;
let directory: string;
let token: string;
beforeAll(async () => {
  [tenants, directory] = [await startTenants(), await mkdtemp(join(tmpdir(), 'chom-uploads-'))];
  token = await tenants.token('first', 'operate');
});
afterAll(async () => {
  await tenants?.close();
  await rm(directory, { recursive: true, force: true });
});
afterEach(async () => {
  await tenants.chom.inventory.transaction(async (trx) => await uploads.sweep(trx, '9999'));
});

/** An archive with a page and some incompressible bytes. */
async function archive(name: string, ...words: string[]): Promise<Buffer> {
  const from = join(directory, name);
  await mkdir(from, { recursive: true });
  await writeFile(join(from, 'index.html'), 'hello');
  await writeFile(join(from, 'noise'), randomBytes(3_000_000));
  const file = join(directory, `${name}.tar`);
  await promisify(execFile)('tar', ['-cf', file, '-C', from, ...words, '.']);
  return await readFile(file);
}

async function send(
  bytes: Uint8Array<ArrayBuffer> | string,
  { as = token, type = 'application/octet-stream', url = tenants.api.url } = {},
) {
  const headers = { Authorization: `Bearer ${as}`, 'Content-Type': type };
  const response = await fetch(`${url}/v1/uploads`, { method: 'POST', headers, body: bytes });
  return { status: response.status, json: (await response.json()) as Record<string, unknown> };
}

const kept = async () => {
  const { db } = tenants.chom.inventory;
  return [
    await db.selectFrom('uploads').selectAll().execute(),
    await db.selectFrom('uploadChunks').select('n').execute(),
  ];
};
const site = (upload: unknown) => ({ domain: 'new.example', server: havingOf('first').server, upload });
const create = async (as: string, upload: unknown) =>
  await tenants.ask(as, 'POST', '/v1/sites', { body: { ...site(upload) } });

describe('an upload over the API', () => {
  test.each([
    ['plain', []],
    ['gzip', ['-z']],
  ])('arrives as it was sent, and is kept sealed: %s', async (name, words) => {
    const bytes = await archive(name, ...words);
    const { status, json } = await send(new Uint8Array(bytes));
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    expect([status, json]).toEqual([201, { upload: expect.any(String), sha256, bytes: bytes.length }]);
    const { inventory, keyring } = tenants.chom;
    const back: Buffer[] = [];
    for await (const chunk of uploads.read(inventory.db, keyring, uploads.waitingId('first', String(json['upload'])))) {
      back.push(chunk);
    }
    expect(Buffer.concat(back).equals(bytes)).toBe(true);
    const [chunk] = await inventory.db.selectFrom('uploadChunks').select('bytes').execute();
    expect(Buffer.from(chunk?.bytes ?? '').includes('index.html')).toBe(false);
  });

  test('[SE-05] is its tenant’s alone: for another one it is as if it never was', async () => {
    const { json } = await send(new Uint8Array(await archive('mine')));
    const [other, never] = [await tenants.token('other'), `upload-${'a'.repeat(26)}`];
    const theirs = { domain: 'new.example', server: havingOf('other').server };
    const ask = async (upload: unknown) =>
      await tenants.ask(other, 'POST', '/v1/sites', { body: { ...theirs, upload } });
    const [guessed, unknown] = [await ask(json['upload']), await ask(never)];
    expect([guessed.status, unknown.status]).toEqual([404, 404]);
    expect(guessed.text.replace(String(json['upload']), never)).toBe(unknown.text);
    // Its own tenant comes further: until Temporal, which is away here.
    expect((await create(token, json['upload'])).status).toBe(503);
    expect((await create(token, never)).status).toBe(404);
    const both = { ...site(json['upload']), from: 'https://git.example/x.git' };
    expect((await tenants.ask(token, 'POST', '/v1/sites', { body: both })).status).toBe(400);
  });

  test('that is no archive, or leaves its directory, is refused and leaves nothing', async () => {
    const bytes = await archive('cut', '-z');
    const outside = await archive('outside', '--transform', 's,^./noise,../noise,', '-P');
    const all: [string, Uint8Array<ArrayBuffer> | string][] = [
      ['nothing', ''],
      ['no archive', 'hello'.repeat(1000)],
      ['a short word', 'hello'],
      ['a gzip of no archive', new Uint8Array([0x1f, 0x8b, ...randomBytes(2000)])],
      ['an archive that is cut off', new Uint8Array(bytes.subarray(0, 1_000_000))],
      ['what lies outside', new Uint8Array(outside)],
      ['an empty archive', new Uint8Array(10_240)],
    ];
    for (const [what, body] of all) expect([what, (await send(body)).status]).toEqual([what, 400]);
    expect((await send(new Uint8Array(outside))).json['cause']).toContain('outside the site');
    expect((await send(new Uint8Array(bytes), { type: 'application/json' })).status).toBe(415);
    expect((await send(new Uint8Array(bytes), { as: await tenants.token('first', 'read') })).status).toBe(403);
    expect((await send(new Uint8Array(bytes), { as: 'chom_wrong' })).status).toBe(401);
    expect(await kept()).toEqual([[], []]);
  });

  test('that says it is too large is refused before it comes, and what breaks off leaves nothing', async () => {
    const bytes = await archive('broken', '-z');
    const begin = (length: number) =>
      request(`${tenants.api.url}/v1/uploads`, {
        method: 'POST',
        headers: {
          Authorization: `Bearer ${token}`,
          'Content-Type': 'application/octet-stream',
          'Content-Length': length,
        },
      });
    const large = begin(600 * 1024 * 1024);
    large.on('error', () => undefined);
    const status = new Promise((resolve) => large.once('response', (response) => resolve(response.statusCode)));
    large.flushHeaders();
    expect(await status).toBe(413);
    large.destroy();
    const breaks = begin(bytes.length);
    breaks.on('error', () => undefined);
    breaks.write(bytes.subarray(0, 2_000_000));
    await poll('it arrives', 10_000, async () => (await kept())[1]?.length === 1);
    breaks.destroy();
    await poll('it is gone', 10_000, async () => (await kept()).every((rows) => rows.length === 0));
  });

  test('waits with three others of its tenant at most, and may take longer than other requests', async () => {
    const bytes = new Uint8Array(await archive('many', '-z'));
    for (let n = 0; n < 4; n += 1) expect((await send(bytes)).status).toBe(201);
    expect((await send(bytes)).status).toBe(429);
    expect((await send(bytes, { as: await tenants.token('other') })).status).toBe(201);
    await tenants.chom.inventory.transaction(async (trx) => await uploads.sweep(trx, '9999'));
    expect(await kept()).toEqual([[], []]);

    const api = await serve(tenants.chom, [], { arrivalMs: 300 });
    try {
      const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/octet-stream' };
      const slow = request(`${api.url}/v1/uploads`, { method: 'POST', headers });
      const answered = new Promise((resolve, reject) => {
        slow.once('response', (response) => resolve(response.statusCode)).once('error', reject);
      });
      slow.write(bytes.subarray(0, 1_500_000));
      await poll('its beginning is kept', 10_000, async () => (await kept())[1]?.length === 1);
      // By then another kind of request that has not arrived is ended.
      const late = request(`${api.url}/v1/sites`, { method: 'POST', headers: { ...headers, 'Content-Length': 5 } });
      const ended = new Promise((resolve) => {
        late.once('response', (response) => resolve(response.statusCode)).once('error', resolve);
      });
      late.flushHeaders();
      expect(await ended).toBe(408);
      slow.end(bytes.subarray(1_500_000));
      expect(await answered).toBe(201);
    } finally {
      await api.close();
    }
  });
});
