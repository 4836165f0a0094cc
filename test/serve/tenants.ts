import type { CommandLine } from '../client/command-line.js';
import { addServer, startCommandLine } from '../client/command-line.js';
import { addTenant } from '../../src/client/tenant.js';
import { openChom, type Chom } from '../../src/client/open.js';
import { createToken } from '../../src/client/token-verbs.js';
import type { Scope } from '../../src/inventory/api-tokens.js';
import * as backups from '../../src/inventory/backups.js';
import * as certificates from '../../src/inventory/certificates.js';
import * as operations from '../../src/inventory/operations.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as sites from '../../src/inventory/sites.js';
import * as storages from '../../src/inventory/storages.js';
import * as tags from '../../src/inventory/tags.js';
import { serveApi, type ApiServer, type Listening } from '../../src/serve/listen.js';
import { restStorage } from '../inventory/storage-records.js';

/** What one tenant has: one of everything, with its name in each. */
export interface Having {
  server: string;
  storage: string;
  domain: string;
  alias: string;
  site: string;
  backup: string;
  operation: string;
  child: string;
  failed: string;
}

/** Names of five letters, so that those of one can stand for those of another in a text. */
export function havingOf(tenant: string): Having {
  return {
    server: `web-${tenant}`,
    storage: `store-${tenant}`,
    domain: `${tenant}.example`,
    alias: `www.${tenant}.example`,
    site: `s${tenant}aaaa`,
    backup: `b${tenant}aaaa`,
    operation: `provision-site-${tenant}aaaaaaa`,
    child: `provision-site-${tenant}aaaaaaa/certificate`,
    failed: `create-backup-${tenant}aaaaaaa`,
  };
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  json: Record<string, unknown>;
}

/** The API over an inventory with the tenants `first` and `other`; Temporal is away. */
export interface Tenants {
  line: CommandLine;
  chom: Chom;
  api: ApiServer;
  /** What the administrator was told. */
  log: string[];
  /** Queries of requests since it was last set. */
  queries: number;
  token(tenant: string, scope?: Scope, expires?: string): Promise<string>;
  ask(token: string | null, method: string, path: string, more?: { body?: unknown; headers?: object }): Promise<Answer>;
  close(): Promise<void>;
}

/** Another one over the same inventory, with other limits; it is closed by whoever started it. */
export type Limits = Partial<Pick<Listening, 'rates' | 'checkEvery' | 'arrivalMs' | 'tls' | 'host' | 'renewMs'>>;

const PLENTY = { burst: 1_000_000, perSecond: 1_000_000 };

export async function startTenants(): Promise<Tenants> {
  const line = await startCommandLine();
  const opened = await openChom(line.environment);
  const log: string[] = [];
  const counted = { queries: 0 };
  const chom = counting(opened, counted);
  for (const tenant of ['first', 'other']) {
    await addTenant(line.stores, tenant);
    await fill(line, tenant);
  }
  const api = await serve(chom, log);
  let made = 0;
  return {
    ...{ line, chom, api, log },
    get queries() {
      return counted.queries;
    },
    set queries(value) {
      counted.queries = value;
    },
    async token(tenant, scope = 'admin', expires = '1d') {
      return (await createToken({ ...opened, tenant }, { name: `t${(made += 1)}`, scope, expires })).text;
    },
    ask: async (...asked) => await ask(api.url, ...asked),
    async close() {
      await api.close();
      await opened.close();
      await line.close();
    },
  };
}

export async function serve(chom: Chom, log: string[], limits: Limits = {}): Promise<ApiServer> {
  const rates = { requests: PLENTY, failures: PLENTY };
  return await serveApi(chom, {
    ...{ host: '127.0.0.1', port: 0, tls: null, rates, checkEvery: 50 },
    log: (said) => void log.push(said),
    ...limits,
  });
}

export async function ask(
  url: string,
  token: string | null,
  method: string,
  path: string,
  { body, headers = {} }: { body?: unknown; headers?: object } = {},
): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(token !== null && { Authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = text !== '' && /json/.test(response.headers.get('Content-Type') ?? '');
  const json = isJson ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: response.status, headers: response.headers, text, json };
}

function counting(chom: Chom, counted: { queries: number }): Chom {
  const plugin = {
    transformQuery<Node>({ node }: { node: Node }) {
      counted.queries += 1;
      return node;
    },
    transformResult: async <Result>({ result }: { result: Result }) => result,
  };
  const { inventory } = chom;
  return {
    ...chom,
    inventory: {
      ...inventory,
      db: inventory.db.withPlugin(plugin),
      transaction: async (fn) => await inventory.transaction(async (trx) => await fn(trx.withPlugin(plugin))),
    },
  };
}

/** Gives a tenant one of everything. */
export async function fill(line: Pick<CommandLine, 'stores' | 'host' | 'environment'>, tenant: string): Promise<void> {
  const has = havingOf(tenant);
  const server = await addServer(line, has.server, ['8.4'], tenant);
  const { inventory, keyring } = line.stores;
  const source = { kind: 'placeholder' } as const;
  const { site, domain, alias } = has;
  const plan = { site, tenant, server, serverName: has.server, domain, aliases: [alias], php: null, tls: true, source };
  await inventory.transaction(async (trx) => {
    await sites.reserve(trx, { ...plan, type: 'static' }, has.operation);
    await sites.activate(trx, site);
    await tags.change(trx, 'sites', site, { add: ['live', `of-${tenant}`] });
    await tags.change(trx, 'servers', server, { add: ['live', `of-${tenant}`] });
    const where = { cluster: line.environment['TEMPORAL_ADDRESS'] ?? '', namespace: 'default' };
    const row = { kind: 'provision-site' as const, tenant, server, site, input: plan, ...where };
    await operations.ask(trx, keyring, { ...row, id: has.operation });
    await operations.ask(trx, keyring, { ...row, kind: 'issue-certificate', id: has.child, parent: has.operation });
    const { aliases: _aliases, php: _php, tls: _tls, source: _source, ...named } = plan;
    const made = { backup: has.backup, kind: 'files', tag: 'manual', retentionDays: null };
    const backup = { ...named, ...made, storage: `sto${tenant}`, storageName: has.storage };
    await operations.ask(trx, keyring, { ...row, kind: 'create-backup', id: has.failed, input: backup });
    await trx
      .updateTable('operations')
      .set({ state: 'ended', outcome: 'failed', failureType: 'DiskFull', reason: `No room on ${has.server}` })
      .where('id', '=', has.failed)
      .execute();
    const times = { notBefore: '2026-01-01T00:00:00.000Z', notAfter: '2027-01-01T00:00:00.000Z' };
    const issued = { issuer: 'i', chain: 'c', fingerprint: 'f', ...times };
    await certificates.record(trx, {
      id: `cert-${tenant}`,
      site,
      names: [domain],
      serial: `serial-${tenant}`,
      ...issued,
    });
    await certificates.markInstalled(trx, `cert-${tenant}`);
    await storages.add(trx, keyring, restStorage(`sto${tenant}`, has.storage, { tenant }));
    const repository = {
      storage: `sto${tenant}`,
      site,
      url: 'rest:https://store.example/x',
      password: Buffer.from('x'),
    };
    const { id: kept } = await repositories.add(trx, keyring, repository);
    const begun = { id: has.backup, operation: has.failed, site, repository: kept, retentionDays: null };
    await backups.begin(trx, { ...begun, kind: 'files', tag: 'manual' });
    const counts = { bytes: 1, newBytes: 1, files: 1 };
    await backups.addSnapshot(trx, { backup: has.backup, ...counts, role: 'files', id: tenant.slice(0, 1).repeat(64) });
    const came = { ...counts, manifestSha256: 'a'.repeat(64), apartSeconds: null };
    await backups.finish(trx, has.backup, { state: 'completed', ...came });
  });
}
