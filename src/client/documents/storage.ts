import { z } from 'zod';
import { storageLogin } from '../../inventory/storage-login.js';
import { checked } from './finding.js';
import { eachFollowed } from './operation.js';
import { maybeTime, named, text, time } from './values.js';

const access = z.enum(['append-only', 'deletable']).nullable();
const kind = z.enum(['sftp', 'rest', 's3', 'local']);

export const storage = named(
  'Storage',
  z.strictObject({
    id: z.string(),
    name: z.string(),
    kind,
    url: z.string(),
    logins: z.enum(['shared', 'per-site']),
    loginPublic: text,
    access: access.describe('`append-only`: whoever breaks into a server cannot delete backups'),
    probedAt: maybeTime,
    createdAt: time,
    tenant: text.describe('null: all tenants may use it'),
    hostKey: text,
    maintain: z
      .union([
        z.strictObject({ controller: z.literal(true), repository: z.string(), login: text }),
        z.strictObject({ server: z.string(), path: z.string() }),
      ])
      .nullable(),
    sites: z.array(
      z.strictObject({
        id: z.string(),
        domain: z.string(),
        initialisedAt: maybeTime,
        dataRead: z.strictObject({ part: z.int(), parts: z.int(), at: time }).nullable(),
      }),
    ),
  }),
);

export const storages = z.strictObject({ storages: z.array(storage) });
export const wholeStorage = z.strictObject({ storage });
export const checkedStorage = { storage, ...checked };
export const rotatedStorage = z.strictObject({ rotated: eachFollowed({ site: z.string() }) });

/** As tenants see them over the API. */
export const usableStorages = z.strictObject({
  storages: z.array(
    z.strictObject({
      name: z.string(),
      kind,
      shared: z.boolean().describe('Other tenants use it as well'),
      access: access.describe('`append-only`: whoever breaks into a server cannot delete backups'),
      probedAt: maybeTime,
      sites: z.array(z.string()),
    }),
  ),
});

/** What is needed to restore with restic alone. */
export const recoveryKit = z.strictObject({
  repositories: z.array(
    z.strictObject({
      domain: z.string(),
      site: z.string(),
      storage: z.string(),
      repository: z.string(),
      sealed: z.string(),
      sealedOpenedBy: z.string().optional(),
      hostKey: text,
      password: z.string().optional(),
      login: storageLogin.nullable().optional(),
    }),
  ),
});
export type StorageDocument = z.infer<typeof storage>;
