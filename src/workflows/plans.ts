import { z } from 'zod';

/** Site types that can be provisioned. */
export const SITE_TYPES = ['static', 'php', 'wordpress', 'laravel'] as const;

/** PHP versions that CHOM knows how to run; which of them a server has is asked of the server. */
export const PHP_VERSIONS = ['8.1', '8.2', '8.3', '8.4'] as const;

/** A site id: names user, database, directory and units; never re-used. */
export const siteId = z.string().regex(/^s[a-z2-7]{9}$/);

/** A lower-case ASCII host name (punycode for the rest), at least two labels (RFC 1123, RFC 5890). */
export const domainName = z
  .string()
  .max(253)
  .regex(/^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/);

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** Where the files of a new site come from. */
export const source = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('placeholder') }),
  /** A tar archive (optionally gzip) kept in the inventory's uploads until it is installed. */
  z.strictObject({ kind: z.literal('upload'), sha256, bytes: z.int().min(1) }),
  z.strictObject({ kind: z.literal('git'), url: z.string().max(2000), ref: z.string().max(255).nullable() }),
  /** A tar archive (gzip) that the worker fetches and keeps; what has another hash is refused. */
  z.strictObject({ kind: z.literal('release'), url: z.url({ protocol: /^https?$/ }).max(2000), sha256 }),
]);

/** By this name the operation has the first password of a WordPress's administrator. */
export const ADMIN_PASSWORD = 'admin-password';

/** By this name the operation has the private key that reads the repository. */
export const DEPLOY_KEY = 'deploy-key';

/** What a new WordPress is told of itself. The password of its administrator is no part of any plan. */
export const wordpress = z.strictObject({
  title: z.string().min(1).max(200),
  adminUser: z.string().regex(/^[A-Za-z0-9_.@-]{1,60}$/),
  adminEmail: z.email().max(100),
});

export const sitePlan = z.strictObject({
  site: siteId,
  tenant: z.string(),
  server: z.string(),
  serverName: z.string(),
  domain: domainName,
  aliases: z.array(domainName).max(99),
  type: z.enum(SITE_TYPES),
  php: z.enum(PHP_VERSIONS).nullable(),
  tls: z.boolean(),
  source,
  /** With a database and a database user of its own, both of the site's name. */
  database: z.boolean().optional(),
  /** For type `wordpress`. */
  wordpress: wordpress.optional(),
});

/** A live site as it is on record, for whoever puts back what it needs on its server. */
export const repairPlan = sitePlan.omit({ source: true, wordpress: true });

export const serverPlan = z.strictObject({
  server: z.string(),
  tenant: z.string(),
  name: z.string(),
  address: z.string(),
  port: z.int().min(1).max(65_535),
  user: z.string(),
  /** `SHA256:…` as ssh-keygen prints it; null = show it to the operator and wait for the answer. */
  hostKey: z.string().nullable(),
  /** `host:port` that takes its sites' mail; null = from now on none; missing = as it is. */
  smtpRelay: z.string().max(260).nullable().optional(),
  /** Put up, or taken down again. Plans of before 0.2 say nothing of these three, and change nothing of them. */
  firewall: z.boolean().optional(),
  updates: z.boolean().optional(),
  swap: z.boolean().optional(),
  /** Missing, as in a plan of before 0.2: they are rotated. */
  logrotate: z.boolean().optional(),
});

export const removalPlan = z.strictObject({
  server: z.string(),
  tenant: z.string(),
  name: z.string(),
  /** The server no longer exists: only the records are ended. */
  gone: z.boolean(),
});

/** By this name a site is owed its certificate. */
export const CERTIFICATE = 'certificate';

/** By this name an operation owes what it could not take back. */
export const UNDO = 'undo';

export const certificatePlan = z.strictObject({
  site: siteId,
  tenant: z.string(),
  server: z.string(),
  serverName: z.string(),
  /** First the site's domain, then its aliases. */
  names: z.array(domainName).min(1).max(100),
  /** Ask for a new one even where the installed one is valid and not due. */
  force: z.boolean().optional(),
  /** It is to take the place of this certificate, which is due, and does nothing where that is no longer the site's. */
  renewal: z
    .strictObject({
      certificate: z.string(),
      /** What is left of it is so little that names which do not resolve are left out. */
      emergency: z.boolean(),
      /** At the other authority, for the first one has failed. */
      fallback: z.boolean(),
    })
    .optional(),
});

/** Input of undo-operation; whose work is to be taken back stands in its id (inventory/tries.ts). */
export const undoPlan = z.strictObject({
  tenant: z.string(),
  server: z.string().nullable(),
  site: z.string().nullable(),
});

/** Whether sites of a type run PHP. */
export function runsPhp(type: SitePlan['type']): boolean {
  return type !== 'static';
}

export type WordpressPlan = z.infer<typeof wordpress>;
export type Source = z.infer<typeof source>;
export type SitePlan = z.infer<typeof sitePlan>;
export type RepairPlan = z.infer<typeof repairPlan>;
export type ServerPlan = z.infer<typeof serverPlan>;
export type RemovalPlan = z.infer<typeof removalPlan>;
export type CertificatePlan = z.infer<typeof certificatePlan>;
export type UndoPlan = z.infer<typeof undoPlan>;

/** Input of adopt-server. */
export const adoptionPlan = z.strictObject({ server: z.string(), tenant: z.string(), name: z.string() });
export type AdoptionPlan = z.infer<typeof adoptionPlan>;

/** Input of check-storage: the storage, and the server that it is tried from. */
export const storagePlan = z.strictObject({
  tenant: z.string(),
  server: z.string(),
  serverName: z.string(),
  storage: z.string(),
  storageName: z.string(),
});
export type StoragePlan = z.infer<typeof storagePlan>;
