import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseSince } from '../../src/client/since.js';
import * as events from '../../src/inventory/events.js';
import * as sites from '../../src/inventory/sites.js';
import * as tenants from '../../src/inventory/tenants.js';
import { addServer, addSite, type CommandLine, startCommandLine } from './command-line.js';

const HOUR = 3_600_000;

let line: CommandLine;
beforeAll(async () => {
  line = await startCommandLine();
  const [web1, web2] = [await addServer(line, 'web1'), await addServer(line, 'web2')];
  const gone = await addSite(line, web1, 'shop.example');
  await line.stores.inventory.transaction(async (trx) => {
    await sites.setStatus(trx, gone, 'removed');
  });
  await line.stores.inventory.transaction(async (trx) => {
    const all = [
      ['SiteProvisioned', web1, gone, 50],
      ['SiteDeleted', web1, gone, 40],
      ['ServerEnrolled', web2, null, 30],
      ['Alert', web2, null, 1],
    ] as const;
    for (const [type, server, site, hours] of all) {
      const data = type === 'Alert' ? { reason: 'The disk is full\nand more', severity: 'error' } : {};
      await events.emit(trx, { operation: `of-${type}`, type, tenant: 'default', server, site, data });
      const at = new Date(Date.now() - hours * HOUR).toISOString();
      await trx.updateTable('events').set({ at }).where('operation', '=', `of-${type}`).execute();
    }
    const theirs = { operation: 'theirs', type: 'Alert', tenant: 'other', server: null, site: null, data: {} } as const;
    await tenants.add(trx, { id: 'other', name: 'other' });
    await events.emit(trx, theirs);
  });
});
afterAll(async () => await line.close());

interface Listed {
  events: { id: string; type: string; site: { domain: string } | null; server: { name: string } | null }[];
  error?: { type: string; cause: string };
}
const listed = async (...words: string[]) => {
  const { status, stdout } = await line.here('event', 'list', ...words, '--json');
  const document = JSON.parse(stdout) as Listed;
  return { status, document, types: (document.events ?? []).map(({ type }) => type) };
};

describe('events', () => {
  test('are listed with the newest first, as webhooks are told of them, and a tenant’s own alone', async () => {
    const { status, types, document } = await listed();
    expect({ status, types }).toEqual({
      status: 0,
      types: ['Alert', 'ServerEnrolled', 'SiteDeleted', 'SiteProvisioned'],
    });
    expect(document.events.at(-1)).toMatchObject({
      id: expect.stringMatching(/^evt_.+_\d+$/),
      site: { domain: 'shop.example' },
      server: { name: 'web1' },
    });
    const { stdout } = await line.here('event', 'list');
    expect(stdout).toMatch(/^AT +EVENT +OF +OPERATION +REASON\n.*Z +Alert +web2 +of-Alert +The disk is full\n/);
  });

  test.each([
    [['--type', 'Alert'], ['Alert']],
    [
      ['--type', 'Alert', 'SiteDeleted'],
      ['Alert', 'SiteDeleted'],
    ],
    [
      ['--site', 'shop.example'],
      ['SiteDeleted', 'SiteProvisioned'],
    ],
    [
      ['--server', 'web2'],
      ['Alert', 'ServerEnrolled'],
    ],
    [
      ['--since', '45h'],
      ['Alert', 'ServerEnrolled', 'SiteDeleted'],
    ],
    [['--since', '1d', '--server', 'web2'], ['Alert']],
    [['--limit', '1'], ['Alert']],
    [['--type', 'BackupFailed'], []],
  ])('of %j are %j', async (words, types) => {
    expect(await listed(...words)).toMatchObject({ status: 0, types });
  });

  test.each([
    [2, ['--type', 'Nothing']],
    [2, ['--since', 'yesterday']],
    [2, ['--limit', '0']],
    [5, ['--site', 'none.example']],
    [5, ['--server', 'none']],
  ])('end with %i where %j is wrong', async (status, words) => {
    expect(await listed(...words)).toMatchObject({ status });
  });
});

const since = (text: string) => parseSince(text, Date.parse('2026-03-01T12:00:00.000Z'));

test.each([
  ['30m', '2026-03-01T11:30:00.000Z'],
  ['24h', '2026-02-28T12:00:00.000Z'],
  ['7d', '2026-02-22T12:00:00.000Z'],
  ['2026-01-31', '2026-01-31T00:00:00.000Z'],
  ['2026-01-31T12:00Z', '2026-01-31T12:00:00.000Z'],
  ['2026-01-31T12:00+02:00', '2026-01-31T10:00:00.000Z'],
])('the time %j is %s', (text, at) => expect(since(text)).toBe(at));

test.each(['2026-02-31', '2026-02-31T12:00Z', '2026-01-31T25:00Z', '7', '-7d', ''])('%j is no time', (text) => {
  expect(() => since(text)).toThrow(/is no time/);
});
