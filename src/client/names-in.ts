type Json = Readonly<Record<string, unknown>>;

/** Of what documents are about one thing, and by what that is called. */
const THINGS: Readonly<Record<string, string>> = {
  ...{ site: 'domain', server: 'name', backup: 'id', storage: 'name' },
  ...{ tenant: 'name', webhook: 'name', revoked: 'name' },
};

/** Of what documents list, and by what each of it is called: the first that it has. */
const LISTS: Readonly<Record<string, readonly string[]>> = {
  sites: ['domain', 'operation', 'site'],
  servers: ['operation', 'name'],
  operations: ['operation'],
  certificates: ['site'],
  storages: ['name'],
  backups: ['id'],
  repositories: ['domain', 'site'],
  events: ['id'],
  keys: ['id'],
  schedules: ['name'],
  changed: ['name'],
  differing: ['name'],
  batches: ['name'],
  tenants: ['name'],
  webhooks: ['name'],
  tokens: ['name'],
  settings: ['variable'],
  checks: ['name'],
  builds: ['build'],
  due: ['server'],
  retried: ['retry'],
  ...{ forgotten: [], rotated: ['operation'], cleaned: ['operation'], purged: ['operation'] },
};

/** Of the rest, where what was done names its object. */
const WORDS = [
  'name',
  'removed',
  'paused',
  'resumed',
  'run',
  'backfilled',
  'key',
  'receiver',
  'webhook',
  'current',
  'file',
  'site',
  'server',
];

/**
 * What a document lists or is about, by name alone: ids of operations and backups, domains of sites, names of servers. What
 * has no name has none here.
 */
export function namesIn(document: object): string[] {
  const all = document as Json;
  if (isName(all['operation'])) return [all['operation']];
  for (const [field, name] of Object.entries(THINGS)) if (isObject(all[field])) return called(all[field], [name]);
  // A batch has a list of its operations, and a name.
  const list = isName(all['batch']) ? undefined : Object.keys(LISTS).find((field) => Array.isArray(all[field]));
  if (list !== undefined) return (all[list] as unknown[]).flatMap((one) => called(one, LISTS[list] ?? []));
  return called(all, WORDS);
}

function called(thing: unknown, fields: readonly string[]): string[] {
  if (isName(thing)) return [thing];
  const name = isObject(thing) ? fields.map((field) => thing[field]).find(isName) : undefined;
  return name === undefined ? [] : [name];
}

function isName(value: unknown): value is string {
  return typeof value === 'string';
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
