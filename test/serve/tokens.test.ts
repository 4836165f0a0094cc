import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as tokens from '../../src/inventory/api-tokens.js';
import * as operations from '../../src/inventory/operations.js';
import { ROUTES } from '../../src/serve/routes.js';
import { ask, havingOf, serve, startTenants, type Answer, type Tenants } from './tenants.js';

let tenants: Tenants;
beforeAll(async () => {
  tenants = await startTenants();
});
afterAll(async () => await tenants?.close());

const own = havingOf('first');
const sameAs = ({ status, text, headers }: Answer) => [status, text, headers.get('WWW-Authenticate')];

describe('[SE-05] a token', () => {
  test('is shown once, and kept as a hash alone', async () => {
    const made = await tenants.line.here('--tenant', 'first', 'token', 'create', 'ci', '--scope', 'operate', '--json');
    const { token } = JSON.parse(made.stdout) as { token: string };
    expect(token).toMatch(/^chom_[\w-]{43}$/);
    expect((await tenants.ask(token, 'GET', '/v1/sites')).status).toBe(200);
    const listed = await tenants.line.here('--tenant', 'first', 'token', 'list', '--json');
    expect(listed.stdout).not.toContain(token.slice(5));
    const rows = await tenants.line.stores.inventory.db.selectFrom('apiTokens').selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain(token.slice(5));
    const found = async () => await tokens.list(tenants.line.stores.inventory.db, { tenant: 'first' });
    await expect.poll(async () => (await found()).find(({ name }) => name === 'ci')?.lastUsedAt).not.toBeNull();
    expect((await tenants.line.here('--tenant', 'first', 'token', 'create', 'ci')).status).toBe(1);
    expect((await tenants.line.here('--tenant', 'other', 'token', 'revoke', 'ci')).status).toBe(5);
    expect((await tenants.line.here('--tenant', 'first', 'token', 'revoke', 'ci')).status).toBe(0);
    expect((await tenants.ask(token, 'GET', '/v1/sites')).status).toBe(401);
    expect((await tenants.line.here('--tenant', 'first', 'token', 'create', 'ci')).status).toBe(0);
  });

  test.each(['0d', '-1d', '1', '90x', '4000d', '', 'd', '1d 2h'])('is not good for %j', async (expires) => {
    const ran = await tenants.line.here('token', 'create', 'x', '--expires', expires);
    expect(ran).toMatchObject({ status: 2, stdout: '' });
  });

  test('that may not be used is answered alike, whatever is wrong with it', async () => {
    const good = await tenants.token('first');
    const [expired, revoked] = [await tenants.token('first', 'admin', '1h'), await tenants.token('first')];
    await tenants.line.stores.inventory.transaction(async (trx) => {
      const past = { expiresAt: '2020-01-01T00:00:00.000Z' };
      const newest = (await tokens.list(trx, { tenant: 'first' })).toSorted((a, b) =>
        a.createdAt.localeCompare(b.createdAt),
      );
      const [byHour, last] = newest.slice(-2);
      await trx
        .updateTable('apiTokens')
        .set(past)
        .where('id', '=', byHour?.id ?? '')
        .execute();
      await tokens.revoke(trx, 'first', last?.name ?? '');
    });
    const garbled = `${good.slice(0, -1)}${good.endsWith('A') ? 'E' : 'A'}`;
    const bad = [
      expired,
      revoked,
      garbled,
      good.toLowerCase(),
      good.slice(0, -1),
      `${good}A`,
      'chom_',
      'x',
      `${good} x`,
    ];
    const none = await tenants.ask(null, 'GET', '/v1/sites');
    expect(sameAs(none)).toEqual([
      401,
      expect.stringContaining('urn:chom:problem:Unauthorized'),
      'Bearer realm="chom"',
    ]);
    expect(none.headers.get('Content-Type')).toBe('application/problem+json');
    for (const one of bad) expect(sameAs(await tenants.ask(one, 'GET', '/v1/sites'))).toEqual(sameAs(none));
    for (const headers of [{ Authorization: good }, { Authorization: `Basic ${good}` }, { 'X-Token': good }]) {
      expect(sameAs(await tenants.ask(null, 'GET', '/v1/sites', { headers }))).toEqual(sameAs(none));
    }
    expect((await tenants.ask(null, 'GET', `/v1/sites?access_token=${good}`)).status).toBe(401);
    // Nothing is told of what there is before somebody has said who he is.
    for (const path of ['/v1', '/v1/nothing', `/v1/sites/${own.domain}`, '/v1/operations/x/events']) {
      expect(sameAs(await tenants.ask(null, 'GET', path))).toEqual(sameAs(none));
    }
  });

  test('does what its scope lets it, and no more', async () => {
    const order = { read: 0, operate: 1, admin: 2 };
    const all = { read: await tenants.token('first', 'read'), operate: await tenants.token('first', 'operate') };
    for (const route of ROUTES) {
      const path = route.path
        .replace('{domain}', 'never.example')
        .replace('{backup}', 'bneveraaaa')
        .replace('{operation}', 'never')
        .replace('{server}', 'never');
      for (const [scope, token] of Object.entries(all) as [keyof typeof all, string][]) {
        const { status, json } = await tenants.ask(token, route.method, path);
        const refused = order[scope] < order[route.scope];
        const forbidden = json['type'] === 'urn:chom:problem:Forbidden';
        expect([route.id, scope, status === 403, forbidden]).toEqual([route.id, scope, refused, refused]);
      }
    }
    // A retry is the same again, and wants the same scope.
    const { inventory } = tenants.line.stores;
    const failed = `restore-backup-${'a'.repeat(12)}`;
    await inventory.transaction(async (trx) => {
      const where = { server: null, site: own.site, cluster: 'x', namespace: 'default', input: {} };
      await operations.ask(trx, tenants.line.stores.keyring, {
        id: failed,
        kind: 'restore-backup',
        tenant: 'first',
        ...where,
      });
    });
    const retry = await tenants.ask(all.operate, 'POST', `/v1/operations/${failed}/retry`);
    expect(retry.status).toBe(403);
  });

  test('asks so often, and others are not slowed down by it', async () => {
    const rates = { requests: { burst: 3, perSecond: 0.001 }, failures: { burst: 2, perSecond: 0.001 } };
    const api = await serve(tenants.chom, [], { rates });
    try {
      const [busy, calm] = [await tenants.token('first'), await tenants.token('first')];
      const statuses = [];
      for (let n = 0; n < 5; n += 1) statuses.push((await ask(api.url, busy, 'GET', '/v1/sites')).status);
      expect(statuses).toEqual([200, 200, 200, 429, 429]);
      const refused = await ask(api.url, busy, 'GET', '/v1/sites');
      expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThan(0);
      expect((await ask(api.url, calm, 'GET', '/v1/sites')).status).toBe(200);
      const guesses = [];
      for (let n = 0; n < 4; n += 1)
        guesses.push((await ask(api.url, tokens.newTokenText(), 'GET', '/v1/sites')).status);
      expect(guesses).toEqual([401, 401, 429, 429]);
      expect((await ask(api.url, calm, 'GET', '/v1/sites')).status).toBe(200);
    } finally {
      await api.close();
    }
  });
});

describe('[SE-05] a request', () => {
  test.each<[string, unknown]>([
    ['/v1/sites', { domain: 'new.example', server: own.server, tenant: 'other' }],
    ['/v1/sites', { domain: 'new.example', server: own.server, operation: havingOf('other').operation }],
    ['/v1/sites', { domain: 'new.example', server: own.server, from: '/etc' }],
    ['/v1/sites', { domain: 'new.example', server: own.server, from: './public' }],
    ['/v1/sites', { domain: 'new.example', server: own.server, from: 'file:///etc' }],
    ['/v1/sites', { domain: 'new.example', server: own.server, from: '' }],
    ['/v1/sites', { domain: 'new.example', server: own.server, site: havingOf('other').site }],
    ['/v1/sites', { domain: ['new.example'], server: own.server }],
    ['/v1/sites', { domain: 'new.example', server: { name: own.server } }],
    ['/v1/sites', '{"domain":"new.example","server":"web-first","__proto__":{"tenant":"other"}}'],
    ['/v1/sites', '[]'],
    ['/v1/sites', 'null'],
    ['/v1/sites', '{'],
    [`/v1/sites/${own.domain}/backups`, { storage: 'stoother', site: havingOf('other').site }],
    [`/v1/sites/${own.domain}/backups`, { storage: '../x' }],
    [`/v1/sites/${own.domain}/suspend`, { plan: { tenant: 'other' } }],
    ['/v1/sites?tenant=other', { domain: 'new.example', server: own.server }],
    [`/v1/backups/${own.backup}/restore`, { safetyBackup: false }],
    [`/v1/backups/${own.backup}/restore`, { confirm: 'other.example' }],
  ])('with what it may not say is refused: %s %j', async (path, body) => {
    const before = await tenants.line.stores.inventory.db.selectFrom('operations').select('id').execute();
    const { status, json } = await tenants.ask(await tenants.token('first'), 'POST', path, { body });
    expect(status).toBe(400);
    expect(json).toMatchObject({ type: 'urn:chom:problem:InvalidInput', status: 400 });
    expect(await tenants.line.stores.inventory.db.selectFrom('operations').select('id').execute()).toEqual(before);
  });

  test('by headers says nothing of whose it is', async () => {
    const headers = {
      'X-Tenant': 'other',
      'X-Forwarded-User': 'other',
      'X-HTTP-Method-Override': 'DELETE',
      Cookie: 'tenant=other',
    };
    const listed = await tenants.ask(await tenants.token('first'), 'GET', '/v1/sites', { headers });
    expect(listed.text).toContain(own.domain);
    expect(listed.text).not.toContain('other');
  });

  test('[SE-03] that is too large is refused, told or not how large it is', async () => {
    const token = await tenants.token('first');
    const body = { domain: 'new.example', server: own.server, title: 'x'.repeat(100_000) };
    expect((await tenants.ask(token, 'POST', '/v1/sites', { body })).status).toBe(413);
    expect(await chunked(tenants.api.url, token, 100_000)).toBe(413);
    const headers = { 'X-Long': 'x'.repeat(50_000) };
    expect((await tenants.ask(token, 'GET', '/v1/sites', { headers })).status).toBe(431);
  });

  test('that is no JSON, or to nowhere, is a problem as well', async () => {
    const token = await tenants.token('first');
    const headers = { 'Content-Type': 'text/plain' };
    expect((await tenants.ask(token, 'POST', '/v1/sites', { body: '{}', headers })).status).toBe(415);
    expect((await tenants.ask(token, 'GET', '/v1/nothing')).json).toMatchObject({ status: 404 });
    for (const method of ['PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']) {
      const { status, headers: told } = await tenants.ask(token, method, '/v1/sites');
      expect([method, status, told.get('Access-Control-Allow-Origin')]).toEqual([method, 405, null]);
    }
    const { headers: told } = await tenants.ask(token, 'GET', '/v1/sites', {
      headers: { Origin: 'https://evil.example' },
    });
    expect(told.get('Access-Control-Allow-Origin')).toBeNull();
    expect(told.get('Cache-Control')).toBe('no-store');
    expect(told.get('X-Content-Type-Options')).toBe('nosniff');
  });

  test('that trickles in is ended, and others are answered meanwhile', async () => {
    const api = await serve(tenants.chom, [], { arrivalMs: 500 });
    const token = await tenants.token('first');
    try {
      const slow = Array.from({ length: 50 }, (_, n) => trickling(api.url, n % 2 === 0 ? 'headers' : 'body', token));
      expect((await ask(api.url, token, 'GET', '/v1/sites')).status).toBe(200);
      const ends = await Promise.all(slow);
      expect(new Set(ends.map((said) => said.slice(0, 12)))).toEqual(new Set(['HTTP/1.1 408']));
    } finally {
      await api.close();
    }
  });

  test('says nothing of what happened inside, where a part of CHOM is away', async () => {
    const body = { domain: 'new.example', server: own.server };
    const { status, text, json } = await tenants.ask(await tenants.token('first'), 'POST', '/v1/sites', { body });
    expect(status).toBe(503);
    expect(json).toMatchObject({ type: 'urn:chom:problem:Unavailable', cause: null, next: null });
    expect(text).not.toContain('127.0.0.1');
    // It is told to the administrator.
    expect(tenants.log.join('\n')).toContain('Temporal does not answer at 127.0.0.1');
  });

  test('under a key of the sender’s own stands for the first such request', async () => {
    const token = await tenants.token('first');
    const headers = { 'Idempotency-Key': 'one' };
    const path = `/v1/sites/${own.domain}/suspend`;
    // Temporal is away: it is asked for nevertheless, once Temporal was reached, which here it never is.
    expect((await tenants.ask(token, 'POST', path, { body: {}, headers })).status).toBe(503);
    const other = await tenants.ask(token, 'POST', path, { body: { reason: 'x' }, headers });
    expect(other.status).toBe(422);
    for (const key of ['', 'a b', 'x'.repeat(201)]) {
      const asked = await tenants.ask(token, 'POST', path, { body: {}, headers: { 'Idempotency-Key': key } });
      expect([key, asked.status]).toEqual([key, 400]);
    }
  });
});

/** The status of a POST of so many bytes, which does not say beforehand how many they are. */
async function chunked(url: string, token: string, bytes: number): Promise<number | undefined> {
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  return await new Promise((resolve, reject) => {
    const sent = httpRequest(`${url}/v1/sites`, { method: 'POST', headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.once('error', reject);
    for (let left = bytes; left > 0; left -= 10_000) sent.write('x'.repeat(10_000));
    sent.end();
  });
}

/** What a client is told that never comes to the end of its request. */
async function trickling(url: string, part: 'headers' | 'body', token: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const head = `POST /v1/sites HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\n`;
  return await new Promise((resolve) => {
    let said = '';
    let drip: NodeJS.Timeout | undefined;
    const socket = connect(Number(port), hostname, () => {
      socket.write(part === 'headers' ? head : `${head}Content-Length: 1000\r\n\r\n{`);
      // What is written before is sent before, too.
      drip = setInterval(() => socket.write(part === 'headers' ? 'X-A: b\r\n' : ' '), 50);
    });
    socket.on('data', (chunk: Buffer) => (said += chunk.toString()));
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearInterval(drip);
      resolve(said);
    });
  });
}
