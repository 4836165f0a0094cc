import { readFileSync } from 'node:fs';
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { failure } from './workflows/failures.js';

/** No shorter key makes an HMAC that counts. */
const eabSecret = z.string().regex(/^[A-Za-z0-9_-]{16,1000}={0,2}$/, 'not a key in base64url');

/**
 * Every setting of CHOM: its environment variable, what it means, and its default. Temporal's own connection settings
 * (`TEMPORAL_*`, profiles) are read by @temporalio/envconfig, see client/connection.ts; where `chom dev` finds the
 * Temporal program (`CHOM_TEMPORAL_CLI`) stands in client/programs/temporal.ts, and where a worker finds restic (`CHOM_RESTIC`) in
 * restic-program.ts.
 */
const SETTINGS = {
  /** Directory of the inventory, the keyring and the development server's database. */
  home: [
    'CHOM_HOME',
    z
      .string()
      .min(1)
      .default(() => join(dataHome(), 'chom')),
  ],
  /** PostgreSQL (`postgres://…`); without it the inventory is a SQLite file in `home`. Two worker machines need it. */
  databaseUrl: ['CHOM_DATABASE_URL', z.url({ protocol: /^postgres(ql)?$/ }).optional()],
  /** Of the database that `chom backup database --source` names. */
  sourcePassword: ['CHOM_SOURCE_PASSWORD', z.string().min(1).optional()],
  /** The tenant that commands work for. */
  tenant: ['CHOM_TENANT', z.string().min(1).default('default')],
  /** Temporal task queue of the operations. */
  taskQueue: ['CHOM_TASK_QUEUE', z.string().min(1).default('chom')],
  /** Worker versioning: name of Temporal's deployment that the workers are. Without it any worker takes any operation. */
  deployment: [
    'CHOM_DEPLOYMENT',
    z
      .string()
      .regex(/^[\w-]{1,64}$/, 'letters, digits, - and _ alone')
      .optional(),
  ],
  /** What this build of the workers is called in it, instead of its version and what its workflows hash to. */
  build: [
    'CHOM_BUILD',
    z
      .string()
      .regex(/^[\w.-]{1,64}$/, 'letters, digits, ., - and _ alone')
      .optional(),
  ],
  /** Whose hours schedules mean, for example Europe/Berlin. */
  timezone: ['CHOM_TIMEZONE', z.string().refine(isTimezone, 'no timezone that is known').default('UTC')],
  /** ACME directory URL, or `letsencrypt`, `letsencrypt-staging`. */
  acmeDirectory: ['CHOM_ACME_DIRECTORY', z.string().min(1).default('letsencrypt')],
  /** PEM file with the CA of the ACME server's own HTTPS certificate, where it is not a public one. */
  acmeCaFile: ['CHOM_ACME_CA_FILE', z.string().min(1).optional()],
  /** Another authority, for certificates that are about to end and that the first one does not renew; as above. */
  acmeFallbackDirectory: ['CHOM_ACME_FALLBACK_DIRECTORY', z.string().min(1).optional()],
  acmeFallbackCaFile: ['CHOM_ACME_FALLBACK_CA_FILE', z.string().min(1).optional()],
  /** External account binding of the two (RFC 8555 §7.3.4), where an authority wants one: its key's id, and the key in base64url. Both or neither. */
  acmeEabKid: ['CHOM_ACME_EAB_KID', z.string().min(1).max(1000).optional()],
  acmeEabSecret: ['CHOM_ACME_EAB_SECRET', eabSecret.optional()],
  acmeFallbackEabKid: ['CHOM_ACME_FALLBACK_EAB_KID', z.string().min(1).max(1000).optional()],
  acmeFallbackEabSecret: ['CHOM_ACME_FALLBACK_EAB_SECRET', eabSecret.optional()],
  /** E-mail address given to the certificate authority. */
  acmeContact: ['CHOM_ACME_CONTACT', z.email().optional()],
  /** `ip:port` of the DNS server that CHOM asks about sites' names, instead of the system's. */
  dnsServer: ['CHOM_DNS_SERVER', z.string().refine(isDnsServer, 'neither an IP address nor IP:PORT').optional()],
  /** Lets `--from` fetch git repositories from private addresses. */
  allowPrivateGit: ['CHOM_ALLOW_PRIVATE_GIT', z.stringbool().default(false)],
  /** A WordPress to install instead of wordpress.org's release that CHOM knows, and its checksum. Both or neither. */
  wordpressUrl: [
    'CHOM_WORDPRESS_URL',
    z
      .url({ protocol: /^https?$/ })
      .max(2000)
      .optional(),
  ],
  wordpressSha256: [
    'CHOM_WORDPRESS_SHA256',
    z
      .string()
      .regex(/^[0-9a-f]{64}$/, 'not 64 small hex digits')
      .optional(),
  ],
  /** A restic for servers whose own is too old, instead of the release that CHOM knows, and its checksum. Both or neither. */
  resticUrl: [
    'CHOM_RESTIC_URL',
    z
      .url({ protocol: /^https?$/ })
      .max(2000)
      .optional(),
  ],
  resticSha256: [
    'CHOM_RESTIC_SHA256',
    z
      .string()
      .regex(/^[0-9a-f]{64}$/, 'not 64 small hex digits')
      .optional(),
  ],
  /** Name of the storage where copies of CHOM's own backups are laid down that a worker makes. */
  backupStorage: ['CHOM_BACKUP_STORAGE', z.string().min(1).optional()],
  /** Command line of sh(1) that a worker runs with each alert as JSON on its standard input. */
  alertCommand: ['CHOM_ALERT_COMMAND', z.string().min(1).optional()],
  /** Address that alerts are sent to, by `smtpUrl`, from `alertFrom` or itself. */
  alertMail: ['CHOM_ALERT_MAIL', z.email().optional()],
  alertFrom: ['CHOM_ALERT_FROM', z.email().optional()],
  /** `smtp://USER:PASSWORD@HOST:587` or `smtps://…`, for `alertMail`. */
  smtpUrl: ['CHOM_SMTP_URL', z.url({ protocol: /^smtps?$/ }).optional()],
  /** What Temporal's command line shows the codec server (`--codec-auth 'Bearer …'`); browsers are known by the UI's address. */
  codecToken: ['CHOM_CODEC_TOKEN', z.string().min(16).optional()],
  /** Least severe level that the worker logs. */
  logLevel: ['CHOM_LOG_LEVEL', z.enum(['debug', 'info', 'warn', 'error']).default('info')],
} as const satisfies Record<string, readonly [string, z.ZodType]>;

/** The environment variable of each setting. */
export function variables(): { name: keyof Config; variable: string }[] {
  return Object.entries(SETTINGS).map(([name, [variable]]) => ({ name: name as keyof Config, variable }));
}

export type Config = { readonly [Name in keyof typeof SETTINGS]: z.infer<(typeof SETTINGS)[Name][1]> };

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the settings once; any of them also from a file that `VARIABLE_FILE` names, as containers have their secrets.
 * Throws `InvalidInput` naming each variable that is wrong.
 */
export function readConfig(given: Environment): Config {
  const problems: string[] = [];
  const environment = withFiles(given, problems);
  const entries = Object.entries(SETTINGS).map(([name, [variable, schema]]) => {
    const value = environment[variable];
    const parsed = schema.safeParse(value === '' ? undefined : value);
    if (parsed.success) return [name, parsed.data];
    problems.push(`${variable}: ${parsed.error.issues.map((issue) => issue.message).join(', ')}`);
    return [name, undefined];
  });
  if (environment['CHOM_ALERT_MAIL'] && !environment['CHOM_SMTP_URL']) {
    problems.push('CHOM_ALERT_MAIL: CHOM_SMTP_URL does not say which server sends it');
  }
  for (const prefix of ['CHOM_ACME_EAB', 'CHOM_ACME_FALLBACK_EAB']) {
    const [kid, secret] = [`${prefix}_KID`, `${prefix}_SECRET`];
    if (Boolean(environment[kid]) === Boolean(environment[secret])) continue;
    problems.push(environment[kid] ? `${secret}: ${kid} is set without it` : `${kid}: ${secret} is set without it`);
  }
  if (environment['CHOM_ACME_FALLBACK_EAB_KID'] && !environment['CHOM_ACME_FALLBACK_DIRECTORY']) {
    problems.push('CHOM_ACME_FALLBACK_EAB_KID: CHOM_ACME_FALLBACK_DIRECTORY does not say of which authority');
  }
  if (problems.length > 0) {
    throw failure('InvalidInput', `Settings are wrong: ${problems.join('; ')}`, {
      next: 'correct the environment variables and run the command again',
    });
  }
  return Object.fromEntries(entries) as Config;
}

/** What stands in files, without the line's end; what is set itself goes before. */
function withFiles(given: Environment, problems: string[]): Environment {
  const environment = { ...given };
  for (const { variable } of variables()) {
    const file = given[`${variable}_FILE`];
    if (!file || given[variable]) continue;
    try {
      environment[variable] = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    } catch (error) {
      problems.push(`${variable}_FILE: ${file} cannot be read (${String(Reflect.get(Object(error), 'code'))})`);
    }
  }
  return environment;
}

/** As Node takes it: `1.2.3.4`, `1.2.3.4:53`, `::1`, `[::1]:53`. A port out of range it takes too, or dies of it. */
function isDnsServer(text: string): boolean {
  const [, v6 = '', v4 = '', port = ''] = /^(?:\[(.+)\]|([\d.]+)):(\d{1,5})$/.exec(text) ?? [];
  return isIP(text) !== 0 || ((isIPv6(v6) || isIPv4(v4)) && Number(port) >= 1 && Number(port) <= 65_535);
}

function isTimezone(text: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: text }).format();
    return true;
  } catch {
    return false;
  }
}

function dataHome(): string {
  return process.env['XDG_DATA_HOME'] || join(homedir(), '.local', 'share');
}
