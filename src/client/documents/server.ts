import { z } from 'zod';
import { finding, health } from './finding.js';
import { eachFollowed, obligation } from './operation.js';
import { maybeTime, named, text, time } from './values.js';

export const server = named(
  'Server',
  z.strictObject({
    id: z.string(),
    name: z.string(),
    status: z.enum(['enrolling', 'active', 'failed', 'removed']),
    address: z.string(),
    port: z.int(),
    user: z.string(),
    hostKey: text,
    os: text,
    osVersion: text,
    versions: z.strictObject({
      php: z.array(z.string()),
      nginx: z.string().optional(),
      mariadb: z.string().optional(),
      restic: z.string().optional(),
      openssh: z.string().optional(),
    }),
    smtpRelay: text,
    protection: z
      .strictObject({ firewall: z.boolean(), updates: z.boolean(), swap: z.boolean(), logrotate: z.boolean() })
      .nullable(),
    tags: z.array(z.string()),
    createdAt: time,
  }),
);

export const servers = z.strictObject({ servers: z.array(server.extend({ health })) });

/** A server with what is on it and at work there. */
export const toldServer = {
  server: server.extend({
    sites: z.array(z.string()),
    atWork: z.array(z.string()),
    inLine: z.array(z.string()),
    health,
    findings: z.array(finding),
    obligations: z.array(obligation),
  }),
};
export const wholeServer = z.strictObject(toldServer);
export const taggedServer = z.strictObject({ server: z.string(), tags: z.array(z.string()) });

export const checkedServer = { server: z.string(), ok: z.boolean(), findings: z.array(finding) };
export const checkedServers = z.strictObject({
  ok: z.boolean(),
  servers: eachFollowed({ name: z.string() }, checkedServer),
});

export const rebooted = {
  server: z.string(),
  restarted: z.boolean(),
  answering: z.array(z.string()),
  silent: z.array(z.string()),
};

/** What was done to the database of a site; of one whose row is not there, its name alone. */
export const optimised = {
  site: z.string(),
  tables: z.int().optional(),
  rebuilt: z.int().optional(),
  reclaimedBytes: z.number().optional(),
  skipped: z
    .array(
      z.strictObject({
        table: z.string(),
        bytes: z.number(),
        why: z.enum(['locking', 'no-room', 'busy', 'time', 'failed']),
      }),
    )
    .optional(),
};
export const optimisedSites = z.strictObject({ sites: eachFollowed({ name: z.string() }, optimised) });

/** The key by which CHOM gets into a server, by fingerprints alone. */
const rotated = {
  server: z.string().optional(),
  key: z.string().optional(),
  replaced: z.string().optional(),
  oldKeyUntil: maybeTime,
  oldKeyGone: z.boolean(),
};
const due = z.strictObject({ server: z.string(), rotatedAt: time, dueAt: time, daysLate: z.int().nullable() });
export const rotations = z.union([
  z.strictObject({ dryRun: z.boolean(), due: z.array(due) }),
  z.strictObject({ rotated: eachFollowed({ server: z.string() }, rotated) }),
]);
export type ServerDocument = z.infer<typeof server>;
export type DueDocument = z.infer<typeof due>;
