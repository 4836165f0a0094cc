import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { releaseContent } from '../../src/activities/release.js';

const CONTENT = Buffer.from('a release');
const sha256 = createHash('sha256').update(CONTENT).digest('hex');
const never = new AbortController().signal;

let home: string;
let server: Server;
let url: string;
let asked: number;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'chom-release-'));
  asked = 0;
  server = createServer((request, response) => {
    asked += 1;
    if (request.url === '/moved') response.writeHead(302, { location: '/there' }).end();
    else if (request.url === '/there') response.end(CONTENT);
    else if (request.url === '/short')
      response.writeHead(200, { 'content-length': 100 }).write(CONTENT, () => request.destroy());
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(home, { recursive: true });
});

const get = async (path: string, hash = sha256) =>
  await buffer(await releaseContent(home, { url: `${url}${path}`, sha256: hash }, never));
const kept = async () => await readdir(join(home, 'releases'));

test('is fetched once, and kept under its hash', async () => {
  expect(await get('/moved')).toEqual(CONTENT);
  expect(await get('/moved')).toEqual(CONTENT);
  expect(asked).toBe(2);
  expect(await kept()).toEqual([sha256]);
});

test('is refused when it is something else, and not kept', async () => {
  await expect(get('/there', 'f'.repeat(64))).rejects.toMatchObject({
    type: 'SourceRejected',
    details: [expect.objectContaining({ cause: `its SHA-256 is ${sha256}, expected was ${'f'.repeat(64)}` })],
  });
  expect(await kept()).toEqual([]);
});

test.each([
  ['an answer that is an error', '/missing', 'HTTP 404'],
  ['an answer that breaks off', '/short', 'closed'],
])('%s can be tried again, and leaves nothing', async (_, path, cause) => {
  await expect(get(path)).rejects.toMatchObject({
    type: 'SourceUnavailable',
    details: [expect.objectContaining({ cause: expect.stringContaining(cause) as string })],
  });
  expect(await kept()).toEqual([]);
});

test('a server that is away can be tried again', async () => {
  await expect(releaseContent(home, { url: 'http://127.0.0.1:9/', sha256 }, never)).rejects.toMatchObject({
    type: 'SourceUnavailable',
  });
});
