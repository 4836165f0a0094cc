import { z } from 'zod';
import { MOST_OVERLAP_HOURS } from '../workflows/rotation-plan.js';
import { changeAliases } from './change-aliases.js';
import { parseDomain } from './domain.js';
import { checkNewBackup, createBackup } from './new-backup.js';
import { issueCertificate } from './new-certificate.js';
import { checkNewSite, createSite } from './new-site.js';
import type { Chom } from './open.js';
import { repairSite } from './repair-site.js';
import { rotateCredentials } from './rotate-credentials.js';
import { resumeSite, suspendSite } from './suspend-site.js';
import { verifyBackup } from './verify-backup.js';

/** What can be asked for many times at once. */
export interface BatchVerb {
  /** What its target is: a site that there is, one that is to be, or a server. */
  on: 'site' | 'new site' | 'server';
  /** What may be said beside the target. @throws z.ZodError */
  parse(options: unknown): object;
  /** What is wrong with it by itself. @throws InvalidInput */
  check(target: string, options: object): void;
  /** Asks for it under that id, with the same checks as by hand. @throws as that verb */
  ask(chom: Chom, asked: { target: string; options: object; operation: string }): Promise<unknown>;
}

interface Asked<Options> {
  target: string;
  options: Options;
  operation: string;
}

function verb<Options extends object>(
  on: BatchVerb['on'],
  options: z.ZodType<Options>,
  ask: (chom: Chom, asked: Asked<Options>) => Promise<unknown>,
  check: (target: string, options: Options) => void = () => {},
): BatchVerb {
  return {
    on,
    parse: (given) => options.parse(given),
    check: (target, given) => check(target, given as Options),
    ask: async (chom, asked) => await ask(chom, { ...asked, options: asked.options as Options }),
  };
}

const nothing = z.strictObject({});
const text = z.string().min(1).max(500);

const backup = z.strictObject({
  kind: text.exactOptional(),
  storage: text.exactOptional(),
  tag: text.exactOptional(),
  retentionDays: z.int().exactOptional(),
  maintenance: z.boolean().exactOptional(),
});

const newSite = z.strictObject({
  server: text,
  type: text.exactOptional(),
  php: text.exactOptional(),
  aliases: z.array(text).max(99).exactOptional(),
  tls: z.boolean().exactOptional(),
  /** Nobody uploads anything: the worker asks for it, on another machine perhaps. */
  from: z
    .url({ protocol: /^https$/, error: 'in a batch files come from the https URL of a git repository' })
    .max(2000)
    .exactOptional(),
  database: z.boolean().exactOptional(),
  title: text.exactOptional(),
  adminUser: text.exactOptional(),
  adminEmail: text.exactOptional(),
});

/** By the words of the command line. */
const VERBS: Readonly<Record<string, BatchVerb>> = {
  'backup.create': verb(
    'site',
    backup,
    async (chom, { target, options, operation }) => await createBackup(chom, { domain: target, ...options, operation }),
    (domain, options) => void checkNewBackup({ domain, ...options }),
  ),
  'backup.verify': verb('site', nothing, async (chom, { target, operation }) => {
    return await verifyBackup(chom, { domain: target }, { operation });
  }),
  'certificate.issue': verb('site', nothing, async (chom, { target, operation }) => {
    return await issueCertificate(chom, target, { operation });
  }),
  'certificate.renew': verb('site', nothing, async (chom, { target, operation }) => {
    return await issueCertificate(chom, target, { operation, force: true });
  }),
  'site.create': verb(
    'new site',
    newSite,
    async (chom, { target, options, operation }) => await createSite(chom, { domain: target, ...options, operation }),
    (domain, options) => void checkNewSite({ domain, ...options }),
  ),
  'site.suspend': verb('site', z.strictObject({ reason: text.exactOptional() }), async (chom, asked) => {
    const { target, options, operation } = asked;
    return await suspendSite(chom, { domain: target, ...options, operation });
  }),
  'site.resume': verb('site', nothing, async (chom, { target, operation }) => {
    return await resumeSite(chom, target, { operation });
  }),
  'site.repair': verb('site', nothing, async (chom, { target, operation }) => {
    return await repairSite(chom, target, { operation });
  }),
  'site.alias': verb(
    'site',
    z.strictObject({ add: z.array(text).exactOptional(), remove: z.array(text).exactOptional() }),
    async (chom, { target, options, operation }) => {
      return await changeAliases(chom, { domain: target, ...options, operation });
    },
    (_, { add = [], remove = [] }) => [...add, ...remove].forEach((alias) => parseDomain(alias, 'alias')),
  ),
  'secrets.rotate': verb(
    'server',
    z.strictObject({ overlapHours: z.int().min(1).max(MOST_OVERLAP_HOURS).exactOptional() }),
    async (chom, { target, options, operation }) => {
      return await rotateCredentials(chom, { server: target, ...options, operation });
    },
  ),
};

/** Names of what can be in a batch. */
export const VERB_NAMES: readonly string[] = Object.keys(VERBS);

/** Null: there is no such verb, or it is none that is asked for many times at once. */
export function batchVerb(name: string): BatchVerb | null {
  return Object.hasOwn(VERBS, name) ? (VERBS[name] ?? null) : null;
}
