import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../lab/ports.js';
import { createToken } from '../../src/client/token-verbs.js';
import type { Scope } from '../../src/inventory/api-tokens.js';
import * as operations from '../../src/inventory/operations.js';
import { serveApi, type ApiServer } from '../../src/serve/listen.js';
import { runHere } from '../client/command-line.js';
import { startFollowing, until, type Following, type Running } from './following.js';

let following: Following;
let serving: Running;
let url = '';
let ca = '';
let plain: ApiServer;

// The built chom serves over HTTPS in a process of its own, with commands of the same build as clients; for the many there is
// one without processes.
beforeAll(async () => {
  following = await startFollowing();
  await following.startWorker();
  const home = following.chom.config.home;
  const [cert, key] = [join(home, 'cert.pem'), join(home, 'key.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  await promisify(execFile)('openssl', [...made, ...subject, '-keyout', key, '-out', cert]);
  const port = await freePort();
  serving = following.start('serve', '--port', String(port), '--tls-cert', cert, '--tls-key', key);
  await until('an API', () => serving.stderr.includes('openapi.json'));
  [url, ca] = [`https://localhost:${port}`, cert];
  plain = await serveApi(following.chom, { host: '127.0.0.1', port: 0, tls: null, log: () => undefined });
});
afterAll(async () => {
  await plain?.close();
  await following?.close();
});

/** A client reaches the API, and nothing else of CHOM. */
const AWAY = { TEMPORAL_ADDRESS: '127.0.0.1:1', CHOM_HOME: '/nonexistent' };

async function token(scope: Scope): Promise<{ text: string; name: string }> {
  const name = `t${Math.random().toString(36).slice(2, 10)}`;
  return { text: (await createToken(following.chom, { name, scope })).text, name };
}

function client(text: string, ...words: string[]): Running {
  return following.startWith({ CHOM_API: url, CHOM_TOKEN: text, NODE_EXTRA_CA_CERTS: ca, ...AWAY }, ...words);
}

async function run(text: string, ...words: string[]) {
  return await runHere(words, { CHOM_API: plain.url, CHOM_TOKEN: text, ...AWAY });
}

describe('over the API', () => {
  test('[SE-05] a site is made, followed and shown by the same commands, and nothing else is there', async () => {
    const { text } = await token('operate');
    const made = client(text, 'site', 'create', 'münchen.example', '--server', 'web1', '--no-tls', '--json');
    expect(await made.ended).toBe(0);
    expect(made.stderr).toMatch(/^✔ Create the user \(\d+\.\d s\)$/m);
    expect(made.stderr).toMatch(/^provision-site succeeded$/m);
    const { operation } = JSON.parse(made.stdout) as { operation: string };
    expect(JSON.parse(made.stdout)).toEqual({ operation, status: 'succeeded', warnings: [] });
    const listed = await run(text, 'site', 'list');
    expect(listed.stdout).toMatch(
      /^DOMAIN +STATUS +TYPE +SERVER +ALIASES\nxn--mnchen-3ya.example +active +static +web1/,
    );
    // What is shown is what the administrator's own command shows.
    for (const words of [
      ['site', 'show', 'münchen.example'],
      ['op', 'show', operation],
      ['server', 'list'],
    ]) {
      const [remote, own] = [await run(text, ...words, '--json'), await following.run(...words, '--json')];
      expect(JSON.parse(remote.stdout)).toEqual(JSON.parse(own.stdout));
    }
    expect(await run(text, 'op', 'watch', operation)).toMatchObject({ status: 0 });
    expect(await run(text, 'site', 'show', 'nothing.example')).toMatchObject({ status: 5 });
    const refused = await run(text, 'server', 'remove', 'web1', '--confirm', 'web1', '--json');
    expect(refused.status).toBe(4);
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { message: expect.stringContaining('administrator') } });
    expect(await run('chom_wrong', 'site', 'list')).toMatchObject({ status: 4 });
    expect(await run((await token('read')).text, 'site', 'create', 'x.example', '--server', 'web1')).toMatchObject({
      status: 4,
    });
    expect(serving.stderr).not.toContain('failed');
  });

  test('[SE-05] an operation that is refused, fails or is cancelled ends the command as it would elsewhere', async () => {
    const { text } = await token('operate');
    following.fails.set('fails.example', new Error('no such luck'));
    const failed = await run(text, 'site', 'create', 'fails.example', '--server', 'web1', '--no-tls', '--json');
    expect(failed.status).toBe(1);
    expect(JSON.parse(failed.stdout)).toMatchObject({ status: 'failed', error: { message: expect.any(String) } });
    const release = following.hold('held.example');
    const held = client(text, 'site', 'create', 'held.example', '--server', 'web1', '--no-tls', '--json');
    const id = await until('an operation', async () => {
      const [row] = await operations.list(following.chom.inventory.db, { state: 'running' });
      return row?.id;
    });
    expect(await run(text, 'op', 'cancel', id)).toMatchObject({ status: 0 });
    release();
    expect(await held.ended).toBe(1);
    expect(JSON.parse(held.stdout)).toMatchObject({ operation: id, status: 'cancelled' });
  });

  test('[SE-05] whoever watches is let go once the token is revoked; the operation goes on', async () => {
    const { text, name } = await token('operate');
    const release = following.hold('watched.example');
    const watching = client(text, 'site', 'create', 'watched.example', '--server', 'web1', '--no-tls', '--json');
    await until('a step', () => watching.stderr.includes('Create the user'));
    expect((await following.run('token', 'revoke', name)).status).toBe(0);
    expect(await watching.ended).toBe(4);
    expect(watching.stderr).toContain('The token may not be used any more');
    release();
    await until('its end', async () => {
      const [row] = await operations.list(following.chom.inventory.db, { kind: 'provision-site', limit: 1 });
      return row?.outcome === 'succeeded';
    });
  });

  test('[SE-05] a request that is sent again under its key is done once, also at the same time, and by another process', async () => {
    const { text } = await token('admin');
    const second = await serveApi(following.chom, { host: '127.0.0.1', port: 0, tls: null, log: () => undefined });
    const apis = [plain.url, second.url];
    const headers = { Authorization: `Bearer ${text}`, 'Content-Type': 'application/json', 'Idempotency-Key': 'twice' };
    const body = JSON.stringify({ domain: 'twice.example', server: 'web1', tls: false });
    const post = async (n: number) => {
      const response = await fetch(`${apis[n % 2]}/v1/sites`, { method: 'POST', headers, body });
      return [response.status, (await response.json()) as { operation: string | null }] as const;
    };
    try {
      const first = await Promise.all([0, 1, 2, 3].map(async (n) => await post(n)));
      // Where one had written the row first, the other was told that the name is taken, by the operation of both.
      const ids = first.filter(([status]) => status === 202).map(([, { operation }]) => operation);
      expect(new Set(ids).size).toBe(1);
      const [id] = ids;
      for (const [status] of first) expect([202, 409]).toContain(status);
      for (let n = 0; n < 4; n += 1) expect(await post(n)).toEqual([202, { operation: id, status: 'running' }]);
      const { db } = following.chom.inventory;
      await until('its end', async () => (await operations.byId(db, id ?? '')).outcome);
      expect(await post(0)).toEqual([202, { operation: id, status: 'running' }]);
      const asked = await operations.list(db, { kind: 'provision-site', limit: 1000 });
      expect(asked.filter(({ id: one }) => one === id)).toHaveLength(1);
      const sites = await db.selectFrom('sites').select('id').where('domain', '=', 'twice.example').execute();
      expect(sites).toHaveLength(1);
    } finally {
      await second.close();
    }
  });
});
