import { readPrivateKey } from './private-key.js';
import { parseSource } from './source.js';
import { facts, table } from './text.js';

type Options = Readonly<Record<string, unknown>>;
type Json = Readonly<Record<string, unknown>>;

/** What a command asks the API for. */
export interface Call {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  query?: Options;
  body?: Options;
}

/** Sends what lies on our own disk. Returns its id. */
export type Upload = (content: AsyncIterable<Uint8Array>) => Promise<string>;

/** A command that `--api` has, too. */
export interface RemoteVerb {
  call(words: readonly string[], options: Options, upload?: Upload): Call | Promise<Call>;
  /** It asks for an operation, which is followed. */
  asks?: true;
  /** It follows the operation that it names. */
  follows?: true;
  /** What is shown of the answer to people; for programs it is the answer. */
  text?(document: Json): string;
}

const part = encodeURIComponent;
const site = ([domain = '']: readonly string[]) => `/v1/sites/${part(domain)}`;
const backup = ([id = '']: readonly string[]) => `/v1/backups/${part(id)}`;
const operation = ([id = '']: readonly string[]) => `/v1/operations/${part(id)}`;

function get(path: (words: readonly string[]) => string, query: (options: Options) => Options = () => ({})) {
  return (words: readonly string[], options: Options): Call => ({
    method: 'GET',
    path: path(words),
    query: query(options),
  });
}

function post(
  path: (words: readonly string[]) => string,
  body: (words: readonly string[], options: Options) => Options,
) {
  return (words: readonly string[], options: Options): Call => ({
    method: 'POST',
    path: path(words),
    body: body(words, options),
  });
}

/** Each is the same verb as the command of that name: its words and options, as the API takes them. */
export const REMOTE_VERBS: Readonly<Record<string, RemoteVerb>> = {
  'site list': {
    call: get(
      () => '/v1/sites',
      ({ server, tag }) => ({ server, tag: joined(tag) }),
    ),
    text: listed('sites', ['domain', 'status', 'type', 'server', 'aliases', 'tags']),
  },
  'site show': { call: get(site), text: shown('site') },
  'site create': {
    asks: true,
    async call([domain = ''], options, upload) {
      const { alias, deployKey, detach: _, timeout: __, ...rest } = options;
      const key = typeof deployKey === 'string' ? await readPrivateKey(deployKey, '--deploy-key') : null;
      const { from } = rest;
      const source = typeof from === 'string' ? await parseSource(from) : null;
      const sent =
        source?.kind === 'archive' && upload ? { from: undefined, upload: await upload(source.content()) } : {};
      const body = { ...rest, ...sent, domain, aliases: alias, deployKey: key?.secret.toString() };
      return { method: 'POST', path: '/v1/sites', body };
    },
  },
  'site delete': {
    asks: true,
    call: (words, { confirm, finalBackup, storage }) => ({
      ...{ method: 'DELETE', path: site(words) },
      query: { confirm: confirm ?? '', finalBackup, storage },
    }),
  },
  'site suspend': {
    asks: true,
    call: post(
      (words) => `${site(words)}/suspend`,
      (_, { reason, wait }) => ({ reason, wait }),
    ),
  },
  'site resume': {
    asks: true,
    call: post(
      (words) => `${site(words)}/resume`,
      (_, { wait }) => ({ wait }),
    ),
  },
  'site alias add': {
    asks: true,
    call: post(
      (words) => `${site(words)}/aliases`,
      ([, ...add], { wait }) => ({ add, wait }),
    ),
  },
  'site alias remove': {
    asks: true,
    call: post(
      (words) => `${site(words)}/aliases`,
      ([, ...remove], { wait }) => ({ remove, wait }),
    ),
  },
  'site tag add': {
    call: post(
      (words) => `${site(words)}/tags`,
      ([, ...add]) => ({ add }),
    ),
    text: ({ tags }) => wordsOf(tags).join('\n'),
  },
  'site tag remove': {
    call: post(
      (words) => `${site(words)}/tags`,
      ([, ...remove]) => ({ remove }),
    ),
    text: ({ tags }) => wordsOf(tags).join('\n'),
  },
  'certificate list': {
    call: get(
      () => '/v1/certificates',
      ({ all }) => ({ all }),
    ),
    text: listed('certificates', ['site', 'state', 'notAfter', 'issuer', 'names']),
  },
  'certificate issue': {
    asks: true,
    call: post(
      (words) => `${site(words)}/certificate`,
      (_, { wait }) => ({ wait }),
    ),
  },
  'certificate renew': {
    asks: true,
    call: post(
      (words) => `${site(words)}/certificate/renew`,
      () => ({}),
    ),
  },
  'backup create': {
    asks: true,
    call: post(
      (words) => `${site(words)}/backups`,
      (_, options) => ({
        ...{
          storage: options['storage'],
          tag: options['tag'],
          maintenance: options['maintenance'],
          wait: options['wait'],
        },
        kind: options['files'] === true ? 'files' : options['database'] === true ? 'database' : undefined,
        retentionDays: numberOf(options['retentionDays']),
      }),
    ),
  },
  'backup list': {
    call: (words, { all }) =>
      words.length === 0
        ? { method: 'GET', path: '/v1/backups' }
        : { method: 'GET', path: `${site(words)}/backups`, query: { all } },
    text: (document) =>
      document['backups'] === undefined
        ? listed('sites', ['site', 'count'])(document)
        : listed('backups', ['id', 'startedAt', 'kind', 'state', 'verifiedAt', 'tag'])(document),
  },
  'backup show': { call: get(backup), text: shown('backup') },
  'backup verify': {
    asks: true,
    call: post(
      (words) => `${backup(words)}/verify`,
      (_, { wait }) => ({ wait }),
    ),
  },
  'backup restore': {
    asks: true,
    call: post(
      (words) => `${backup(words)}/restore`,
      (_, options) => ({
        ...{ confirm: options['confirm'], path: options['include'], to: options['to'], partial: options['partial'] },
        ...{ safetyBackup: options['safetyBackup'], wait: options['wait'], undoHours: numberOf(options['undoHours']) },
        only: options['files'] === true ? 'files' : options['database'] === true ? 'database' : undefined,
      }),
    ),
  },
  'op list': {
    call: get(
      () => '/v1/operations',
      ({ failed, running, kind, site: of, limit }) => ({ failed, running, kind, site: of, limit }),
    ),
    text: listed('operations', ['operation', 'status', 'askedAt', 'endedAt']),
  },
  'op show': { call: get(operation), text: shown() },
  'op watch': { follows: true, call: get(operation) },
  'op cancel': {
    call: post(
      (words) => `${operation(words)}/cancel`,
      () => ({}),
    ),
    text: ({ status }) => String(status),
  },
  'op retry': {
    asks: true,
    call: post(
      (words) => `${operation(words)}/retry`,
      () => ({}),
    ),
  },
  'server list': {
    call: get(
      () => '/v1/servers',
      ({ tag }) => ({ tag: joined(tag) }),
    ),
    text: listed('servers', ['name', 'status', 'address', 'os', 'osVersion', 'tags']),
  },
  'server show': { call: get(([name = '']) => `/v1/servers/${part(name)}`), text: shown('server') },
  'storage list': {
    call: get(() => '/v1/storages'),
    text: listed('storages', ['name', 'kind', 'access', 'probedAt', 'sites']),
  },
};

function joined(words: unknown): unknown {
  return Array.isArray(words) ? words.join(',') : words;
}

function numberOf(text: unknown): unknown {
  return typeof text === 'string' ? Number(text) : text;
}

/** A table of what a document lists under `name`. */
function listed(name: string, columns: readonly string[]) {
  return (document: Json): string => {
    const rows = document[name] as Json[];
    // Whoever uses no tags has no empty column.
    const tagged = rows.some((row) => wordsOf(row['tags']).length > 0);
    const shownColumns = columns.filter((column) => column !== 'tags' || tagged);
    const heading = shownColumns.map((column) => column.replaceAll(/[A-Z]/g, ' $&').toUpperCase());
    return rows.length === 0
      ? ''
      : table(
          heading,
          rows.map((row) => shownColumns.map((column) => wordOf(row[column]))),
        );
  };
}

/** What is plain in a document, or in its part of that name, a fact a line. */
function shown(name?: string) {
  return (document: Json): string => {
    const of = name === undefined ? document : (document[name] as Json);
    const plain = Object.entries(of).filter(([, value]) => typeof value !== 'object' || Array.isArray(value));
    return facts(plain.map(([key, value]) => [key, wordOf(value)] as const));
  };
}

function wordsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

function wordOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return wordsOf(value).join(' ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value as string | number | boolean);
}
