import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chomCommand } from '../../src/client/commands.js';
import { createToken } from '../../src/client/token-verbs.js';
import * as backups from '../../src/inventory/backups.js';
import * as batches from '../../src/inventory/batches.js';
import * as certificates from '../../src/inventory/certificates.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as restores from '../../src/inventory/restores.js';
import * as tags from '../../src/inventory/tags.js';
import * as storages from '../../src/inventory/storages.js';
import * as webhooks from '../../src/inventory/webhooks.js';
import { restStorage } from '../inventory/storage-records.js';
import { addServer, addSite, rowCounts, startCommandLine, type CommandLine } from './command-line.js';

const OPERATION = 'provision-site-theirsaaaaaa';
const BACKUP = 'btheirsaaa';
const SECRETS = [
  'their-hook',
  'their-token',
  'web1',
  'theirs.example',
  'www.theirs.example',
  OPERATION,
  'serial-of-theirs',
  'srv-web1',
  'their-store',
  'their-batch',
  'their-tag',
];
/** They show what there is. */
const SEEING: string[][] = [
  ['server', 'list'],
  ['site', 'list'],
  ['site', 'list', '--tag', 'their-tag'],
  ['server', 'list', '--tag', 'their-tag'],
  ['certificate', 'list'],
  ['certificate', 'list', '--all'],
  ['backup', 'list'],
  ['op', 'list'],
  ['event', 'list'],
  ['event', 'list', '--type', 'SiteProvisioned', '--since', '1d'],
  ['op', 'list', '--running'],
  ['batch', 'list'],
  ['storage', 'list'],
  ['webhook', 'list'],
  ['token', 'list'],
  ['storage', 'recovery-kit'],
  ['storage', 'recovery-kit', '--reveal'],
];

/** They name something of another tenant's: refused, with this exit status. */
const REFUSED: [number, ...string[]][] = [
  [5, 'server', 'show', 'web1'],
  [5, 'server', 'check', 'web1'],
  [5, 'server', 'reboot', 'web1', '--confirm', 'web1'],
  [5, 'server', 'optimise', 'web1'],
  [5, 'server', 'optimise', '--site', 'theirs.example'],
  [5, 'site', 'list', '--server', 'web1'],
  [5, 'site', 'show', 'theirs.example'],
  [5, 'site', 'show', 'www.theirs.example'],
  [5, 'site', 'create', 'new.example', '--server', 'web1'],
  [5, 'certificate', 'issue', 'theirs.example'],
  [5, 'certificate', 'renew', 'theirs.example'],
  [5, 'backup', 'create', 'theirs.example'],
  [5, 'backup', 'list', 'theirs.example'],
  [5, 'backup', 'show', BACKUP],
  [5, 'backup', 'restore', BACKUP],
  [5, 'backup', 'undo-restore', OPERATION],
  [5, 'backup', 'verify', BACKUP],
  [5, 'backup', 'verify', 'theirs.example'],
  [5, 'backup', 'clean', 'theirs.example', '--dry-run'],
  [5, 'backup', 'purge', '--site', 'stheirsexa', '--confirm', 'stheirsexa'],
  [5, 'op', 'list', '--site', 'theirs.example'],
  [5, 'event', 'list', '--site', 'theirs.example'],
  [5, 'event', 'list', '--server', 'web1'],
  [5, 'op', 'show', OPERATION],
  [5, 'op', 'watch', OPERATION],
  [5, 'op', 'logs', OPERATION],
  [5, 'op', 'cancel', OPERATION],
  [5, 'op', 'retry', OPERATION],
  [5, 'op', 'forget', OPERATION],
  [5, 'batch', 'show', 'their-batch'],
  [5, 'batch', 'watch', 'their-batch'],
  [5, 'batch', 'pause', 'their-batch'],
  [5, 'batch', 'resume', 'their-batch'],
  [5, 'batch', 'approve', 'their-batch'],
  [5, 'batch', 'cancel', 'their-batch'],
  [5, 'batch', 'retry', 'their-batch', '--only-failed'],
  [2, 'batch', 'run', 'test/client/theirs.example.yaml'],
  [2, 'chain', 'run', 'test/client/theirs.example.yaml'],
  [5, 'secrets', 'rotate', '--server', 'web1'],
  [5, 'server', 'adopt', 'web1', '--confirm', 'web1'],
  [5, 'server', 'doctor', 'web1'],
  [5, 'server', 'remove', 'web1', '--confirm', 'web1'],
  [5, 'site', 'doctor', 'theirs.example'],
  [5, 'site', 'repair', 'theirs.example'],
  [5, 'site', 'alias', 'add', 'theirs.example', 'more.example'],
  [5, 'site', 'tag', 'add', 'theirs.example', 'mine'],
  [5, 'site', 'tag', 'remove', 'www.theirs.example', 'their-tag'],
  [5, 'server', 'tag', 'add', 'web1', 'mine'],
  [5, 'site', 'suspend', 'theirs.example'],
  [5, 'site', 'resume', 'theirs.example'],
  [5, 'site', 'delete', 'theirs.example', '--confirm', 'theirs.example'],
  [5, 'site', 'set', 'theirs.example', '--keep-daily', '1'],
  [5, 'storage', 'add', 'new', '--repository', 'rest:https://store.example/', '--maintain', 'web1:/srv/rest'],
  [5, 'storage', 'show', 'their-store'],
  [5, 'storage', 'set', 'their-store', '--maintain', 'web1:/srv/x'],
  [5, 'storage', 'check', 'their-store'],
  [5, 'storage', 'rotate', 'their-store'],
  [5, 'storage', 'remove', 'their-store', '--confirm', 'their-store'],
  [5, 'webhook', 'show', 'their-hook'],
  [5, 'webhook', 'test', 'their-hook'],
  [5, 'webhook', 'retry', 'their-hook'],
  [5, 'webhook', 'remove', 'their-hook', '--confirm', 'their-hook'],
  [5, 'token', 'revoke', 'their-token'],
  [5, 'op', 'settle', OPERATION],
  [5, 'op', 'settle', OPERATION, '--abandon', '--confirm', OPERATION],
];

/** They belong to the machine or its administrator, or name nothing that could be another's. */
const OF_NOBODY = [
  ...['builds', 'promote'].map((verb) => `worker ${verb}`),
  'codec-server',
  'dev',
  'doctor',
  'serve',
  'token create',
  'complete',
  'completion',
  'certificate account',
  'key list',
  'key retire',
  'key rotate',
  'config show',
  'tenant add',
  'tenant list',
  'tenant set',
  ...['apply', 'backfill', 'diff', 'list', 'pause', 'resume', 'run', 'show'].map((verb) => `schedule ${verb}`),
  'server add',
  'webhook add',
  'backup database',
  'backup:database',
  'recovery-kit',
  'restore-control-plane',
];

let line: CommandLine;

// The default tenant has everything; acme has nothing.
beforeAll(async () => {
  line = await startCommandLine();
  const server = await addServer(line, 'web1');
  const site = await addSite(line, server, 'theirs.example', ['www.theirs.example']);
  await line.stores.inventory.transaction(async (trx) => {
    const row = { id: OPERATION, kind: 'provision-site' as const, tenant: 'default', server, site };
    const where = { cluster: line.environment['TEMPORAL_ADDRESS'] ?? '', namespace: 'default' };
    await operations.ask(trx, line.stores.keyring, { ...row, input: {}, ...where });
    const times = { notBefore: '2026-01-01T00:00:00.000Z', notAfter: '2027-01-01T00:00:00.000Z' };
    await certificates.record(trx, {
      ...{ id: 'cert-theirs', site, names: ['theirs.example'], serial: 'serial-of-theirs', fingerprint: 'f' },
      ...{ issuer: 'i', chain: 'c', ...times },
    });
    await certificates.markInstalled(trx, 'cert-theirs');
    const { keyring } = line.stores;
    await storages.add(trx, keyring, restStorage('stotheirs', 'their-store', { tenant: 'default' }));
    const repository = { storage: 'stotheirs', site, url: 'rest:https://store.example/x', password: Buffer.from('x') };
    const { id: kept } = await repositories.add(trx, keyring, repository);
    const made = { id: BACKUP, operation: `made-${BACKUP}`, site, repository: kept, retentionDays: null };
    await backups.begin(trx, { ...made, kind: 'files', tag: 'manual' });
    const snapshot = { backup: BACKUP, bytes: 1, newBytes: 1, files: 1 };
    await backups.addSnapshot(trx, { ...snapshot, role: 'files', id: 'a'.repeat(64) });
    const came = { bytes: 1, newBytes: 1, files: 1, manifestSha256: 'a'.repeat(64), apartSeconds: null };
    await backups.finish(trx, BACKUP, { state: 'completed', ...came });
    const restored = { operation: OPERATION, backup: BACKUP, site, files: true, database: false, path: null };
    await restores.begin(trx, restored);
    const until = { databaseCharset: null, databaseCollation: null, safety: null, undoUntil: times.notAfter };
    await restores.finish(trx, OPERATION, until);
    await restores.settle(trx, OPERATION);
    const rules = { concurrency: 1, perServer: null, canary: null, failures: null };
    const batch = { id: 'batch-theirsaaaaaa', kind: 'batch' as const, name: 'their-batch', tenant: 'default', rules };
    await batches.add(trx, { ...batch, ...where, priority: 'low', taskQueue: 'chom' });
    const hook = { id: 'hook', tenant: 'default', name: 'their-hook', url: 'https://hooks.example/', events: [] };
    const told = { operation: OPERATION, type: 'SiteProvisioned', data: { domain: 'theirs.example' } } as const;
    await tags.change(trx, 'sites', site, { add: ['their-tag'] });
    await tags.change(trx, 'servers', server, { add: ['their-tag'] });
    await events.emit(trx, { ...told, tenant: 'default', server, site });
    await webhooks.add(trx, keyring, { ...hook, allowPrivate: false, secret: Buffer.alloc(32) });
  });
  await createToken({ ...line.stores, tenant: 'default' }, { name: 'their-token' });
  await line.here('tenant', 'add', 'acme');
});
afterAll(async () => await line.close());

describe('a tenant', () => {
  test('is made once, and listed with what it has', async () => {
    expect(await line.here('tenant', 'add', 'acme')).toMatchObject({ status: 0, stdout: 'acme\n' });
    const added = await line.here('tenant', 'add', 'other-one', '--json');
    expect(JSON.parse(added.stdout)).toMatchObject({ tenant: { id: 'other-one', name: 'other-one' }, created: true });
    const again = await line.here('tenant', 'add', 'other-one', '--json');
    expect(JSON.parse(again.stdout)).toMatchObject({ created: false });
    const listed = await line.here('tenant', 'list', '--json');
    expect(JSON.parse(listed.stdout)).toMatchObject({
      tenants: [
        { name: 'acme', servers: 0, sites: 0 },
        { name: 'default', servers: 1, sites: 1 },
        { name: 'other-one', servers: 0, sites: 0 },
      ],
    });
    expect((await line.here('tenant', 'list')).stdout).toMatch(
      /^TENANT +SERVERS +SITES +BACKUPS KEPT\nacme +0 +0 +7 daily.*\ndefault +1 +1 +7 daily.*\n/,
    );
  });

  test.each(['', ' ', 'Acme', 'a_b', '-a', 'a-', 'a'.repeat(64), 'a b', '$(id)', '../x', 'ä'])(
    'is not called %j',
    async (name) => {
      const before = await line.here('tenant', 'list');
      expect(await line.here('tenant', 'add', name)).toMatchObject({ status: 2, stdout: '' });
      expect(await line.here('--tenant', name, 'site', 'list')).toMatchObject({ status: 2, stdout: '' });
      expect(await line.here('tenant', 'list')).toEqual(before);
    },
  );

  test('that there is not is no tenant to work for', async () => {
    const ran = await line.here('--tenant', 'nobody', 'site', 'list', '--json');
    expect(ran.status).toBe(5);
    expect(JSON.parse(ran.stdout)).toMatchObject({ error: { type: 'NotFound', next: 'chom tenant list' } });
  });
});

test('[SE-05] every command is tried below, or is nobody’s', () => {
  const stream = new PassThrough();
  const program = chomCommand({ environment: {}, stdin: stream, stdout: stream, stderr: stream, exitStatus: 0 });
  const verbs = program.commands.flatMap((noun) =>
    noun.commands.length > 0 ? noun.commands.map((verb) => `${noun.name()} ${verb.name()}`) : [noun.name()],
  );
  const tried = [...SEEING, ...REFUSED.map(([, ...words]) => words)].map((words) => words.slice(0, 2).join(' '));
  expect(verbs.filter((verb) => !tried.includes(verb)).sort()).toEqual([...OF_NOBODY].sort());
});

// Both ways to say whom a command works for.
describe.each(['--tenant', 'CHOM_TENANT'])('[SE-05] by %s, a tenant', (how) => {
  async function asAcme(...words: string[]) {
    if (how === '--tenant') return await line.here('--tenant', 'acme', ...words, '--json');
    line.environment['CHOM_TENANT'] = 'acme';
    const ran = await line.here(...words, '--json');
    delete line.environment['CHOM_TENANT'];
    return ran;
  }

  test.each(SEEING)('sees nothing of another by: %s %s', async (...words) => {
    const ran = await asAcme(...words);
    expect(ran.status).toBe(0);
    for (const secret of SECRETS) expect(ran.stdout + ran.stderr).not.toContain(secret);
    // The same command shows it to whose it is: it would have been seen.
    const own = await line.here(...words, '--json');
    expect(SECRETS.some((secret) => own.stdout.includes(secret))).toBe(true);
  });

  test.each(REFUSED)('is refused with %i: %s %s %s', async (status, ...words) => {
    const before = await rowCounts(line);
    const row = await operations.byId(line.stores.inventory.db, OPERATION);
    const ran = await asAcme(...words);
    expect(ran.status).toBe(status);
    // What was asked for may be repeated, and nothing else is told.
    const asked = words.join(' ');
    for (const secret of SECRETS.filter((one) => !asked.includes(one))) expect(ran.stdout).not.toContain(secret);
    // It is answered as what was never there.
    const never = await asAcme(...words.map((word) => (word === OPERATION ? `${OPERATION.slice(0, -2)}zz` : word)));
    expect(never.status).toBe(status);
    expect(await rowCounts(line)).toEqual(before);
    expect(await operations.byId(line.stores.inventory.db, OPERATION)).toEqual(row);
    expect(line.contacts()).toBe(0);
  });

  test('is not told who holds a name that is taken', async () => {
    await addServer(line, 'of-acme', ['8.4'], 'acme');
    for (const domain of ['theirs.example', 'www.theirs.example']) {
      const ran = await asAcme('site', 'create', domain, '--server', 'of-acme');
      expect(ran.status).toBe(1);
      expect(JSON.parse(ran.stdout)).toMatchObject({
        error: { message: `${domain} is taken`, cause: null, next: null },
      });
    }
  });
});
