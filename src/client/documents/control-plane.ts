import { z } from 'zod';
import { maybeTime, named, text, time } from './values.js';

/** Of CHOM itself: its own backups, keys, settings and builds. */

const database = z.string();

export const chomBackup = z.union([
  z.strictObject({
    name: z.string(),
    file: z.string(),
    bytes: z.number(),
    sha256: z.string(),
    durationMilliseconds: z.number(),
    encrypted: z.boolean(),
    tested: z.boolean(),
    keyring: z.boolean(),
    uploaded: text,
    database,
    tables: z.int(),
    rows: z.number(),
  }),
  z.strictObject({
    file: z.string(),
    tested: z.literal(true),
    madeAt: time,
    database,
    tables: z.int(),
    rows: z.number(),
  }),
  z.strictObject({ file: z.string(), to: z.string(), madeAt: time, database, parts: z.array(z.string()) }),
  z.strictObject({ operation: z.string(), status: z.literal('running') }),
]);

export const chomKit = z.strictObject({
  controller: text,
  database: z.string(),
  recoveryKey: text,
  masterKey: z.string(),
  outdated: z.boolean(),
  backups: z.array(
    z.strictObject({
      file: z.string(),
      bytes: z.number(),
      at: time,
      encrypted: z.boolean(),
      foreign: z.boolean(),
    }),
  ),
  servers: z.array(z.strictObject({ name: z.string(), address: z.string(), port: z.int() })),
  restore: z.string(),
});

export const restoredChom = z.strictObject({
  home: z.string(),
  controller: z.string(),
  madeAt: time,
  tables: z.int(),
  rows: z.number(),
  ended: z.array(z.strictObject({ id: z.string(), kind: z.string(), outcome: z.string() })),
  owed: z.int(),
  settings: z.record(z.string(), z.string()),
  next: z.array(z.string()),
});

export const key = named(
  'Key',
  z.strictObject({
    id: z.string(),
    created: time,
    state: z.enum(['in use', 'next', 'replaced', 'retired']),
    sealed: z.int(),
    backedUpAt: maybeTime,
  }),
);
export const keys = z.strictObject({ keys: z.array(key) });
export const rotatedKey = z.strictObject({
  key: z.string(),
  kept: z.array(z.string()),
  values: z.int(),
  unreadable: z.array(z.strictObject({ column: z.string(), key: z.string(), cause: z.string() })),
});
export const retiredKey = z.strictObject({ key: z.string(), retired: z.literal(true) });

export const settings = z.strictObject({
  settings: z.array(
    z.strictObject({
      variable: z.string(),
      value: text,
      source: z.enum(['environment', 'file', 'command line', 'default', 'profile']),
    }),
  ),
});

export const builds = z.strictObject({
  deployment: z.string(),
  installed: z.string(),
  builds: z.array(
    z.strictObject({
      build: z.string(),
      state: z.enum(['unknown', 'inactive', 'current', 'ramping', 'draining', 'drained']),
    }),
  ),
});
export const promoted = z.strictObject({ deployment: z.string(), current: z.string() });
export const completion = z.strictObject({ shell: z.string(), script: z.string() });
