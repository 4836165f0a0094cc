import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findProgram } from '../../src/client/program.js';
import { readConfig } from '../../src/config.js';
import { resticProgram } from '../../src/restic-program.js';

let home: string;
let server: Server;
let served: Buffer = Buffer.alloc(0);
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'chom-restic-'));
  server = createServer((_, answer) => void answer.end(served)).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  server.close();
  rmSync(home, { recursive: true, force: true });
});

const restic = (version: string) => `#!/bin/sh\necho 'restic ${version} compiled with go1.24 on linux/amd64'\n`;

/** Where it is found by whom the server gives `published`, with that of the distribution on PATH. */
async function found(distribution: string, published: Buffer, sha256?: string): Promise<string> {
  served = published;
  const path = join(home, 'bin');
  mkdirSync(path);
  writeFileSync(join(path, 'restic'), restic(distribution));
  chmodSync(join(path, 'restic'), 0o755);
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const config = readConfig({
    CHOM_HOME: home,
    CHOM_RESTIC_URL: `http://127.0.0.1:${port}/restic.bz2`,
    CHOM_RESTIC_SHA256: sha256 ?? createHash('sha256').update(published).digest('hex'),
  });
  return await findProgram(resticProgram(config), { environment: { PATH: path, XDG_CACHE_HOME: home }, say: () => {} });
}

const packed = (text: string) => execFileSync('bzip2', ['-c'], { input: text });

test('the one of the distribution will do from 0.17.1 on', async () => {
  expect(await found('0.17.1', Buffer.alloc(0))).toBe(join(home, 'bin', 'restic'));
});

test.each([
  ['packed', packed],
  ['bare', (text: string) => Buffer.from(text)],
])('where that is too old the release is got, %s, and runs', async (_, as) => {
  const path = await found('0.14.0', as(restic('0.18.1')));
  expect(path).toMatch(/\/chom\/programs\/restic-[0-9a-f]{16}\/restic$/);
  expect(execFileSync(path, ['version'], { encoding: 'utf8' })).toContain('restic 0.18.1');
});

test('what is something else than announced, or too old as well, is not used', async () => {
  await expect(found('0.14.0', Buffer.from('another'), 'ab'.repeat(32))).rejects.toMatchObject({
    type: 'NotFound',
    message: 'restic is not on this machine and could not be got',
  });
  rmSync(join(home, 'bin'), { recursive: true });
  await expect(found('0.14.0', packed(restic('0.16.0')))).rejects.toMatchObject({ type: 'NotFound' });
});
