import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { schemathesisProgram } from '../../lab/schemathesis.js';
import { addTenant } from '../../src/client/tenant.js';
import { createToken } from '../../src/client/token-verbs.js';
import type { ApiServer } from '../../src/serve/listen.js';
import { fill, havingOf, serve } from '../serve/tenants.js';
import { startFollowing, type Following } from './following.js';

let following: Following;
let api: ApiServer;
const log: string[] = [];
beforeAll(async () => {
  following = await startFollowing();
  const { chom } = following;
  const { address } = await chom.temporal();
  for (const tenant of ['first', 'other']) {
    await addTenant(chom, tenant);
    const host = { address: '192.0.2.9', port: 22 };
    await fill({ stores: chom, host, environment: { TEMPORAL_ADDRESS: address } }, tenant);
  }
  api = await serve(chom, log);
});
afterAll(async () => {
  await api?.close();
  await following?.close();
});

/** A verb may still refuse what the document lets through: a name that DNS does not allow, a site that is not live. */
const NOT_CHECKED = 'positive_data_acceptance,use_after_free,ensure_resource_availability';

// Some thousand requests: less than a minute where nothing else is at work.
const LIMIT_MS = 600_000;

test(
  '[SE-05] the API does what its OpenAPI document says, whatever it is sent, and nothing to another tenant',
  { timeout: LIMIT_MS },
  async () => {
    const { text } = await createToken({ ...following.chom, tenant: 'first' }, { name: 'fuzz', scope: 'admin' });
    const { db } = following.chom.inventory;
    const ofOther = async () => [
      await db.selectFrom('sites').selectAll().where('tenant', '=', 'other').execute(),
      await db.selectFrom('operations').selectAll().where('tenant', '=', 'other').execute(),
      await db.selectFrom('backups').selectAll().where('id', '=', havingOf('other').backup).execute(),
    ];
    const before = await ofOther();
    const directory = await mkdtemp(join(tmpdir(), 'chom-fuzz-'));
    try {
      const program = await schemathesisProgram();
      const words = [
        ...['run', `${api.url}/openapi.json`, '--header', `Authorization: Bearer ${text}`],
        // Streams have no end; and Python 3.11 parses in one thread alone (github.com/python/cpython/issues/106905).
        ...['--exclude-operation-id', 'watchOperation', '--phases', 'coverage', '--workers', '1', '--seed', '1'],
        ...['--exclude-checks', NOT_CHECKED, '--continue-on-failure', '--request-timeout', '30', '--no-color'],
      ];
      // Where it keeps what it has found.
      const ran = await promisify(execFile)(program, words, {
        cwd: directory,
        maxBuffer: 16 << 20,
        timeout: LIMIT_MS - 30_000,
      }).catch((error: { stdout: string }) => error);
      expect(ran.stdout).toMatch(/\d+ generated/);
      expect(ran.stdout).not.toMatch(/FAILURES|ERRORS|unique failure/);
      expect(log).toEqual([]);
      expect(await ofOther()).toEqual(before);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
);
