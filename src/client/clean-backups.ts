import * as cleaning from '../inventory/cleaning.js';
import type { JudgedBackup } from '../inventory/cleaning.js';
import * as repositories from '../inventory/repositories.js';
import type { Verdict } from '../inventory/retention.js';
import * as retentions from '../inventory/retentions.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import * as storages from '../inventory/storages.js';
import type { Storage } from '../inventory/storages.js';
import { cleaningPlan, purgePlan, type PurgePlan } from '../workflows/cleaning-plan.js';
import { failure } from '../workflows/failures.js';
import { siteId } from '../workflows/plans.js';
import type { OperationKind } from '../workflows/step.js';
import { askFor, type Asking } from './ask-for.js';
import { parseDomain } from './domain.js';
import { parseStorageName } from './names.js';
import type { Chom } from './open.js';
import { quoted } from './text.js';

/** The backups of one site in one storage, and what its policy says of them. */
export interface Judged {
  site: string;
  domain: string;
  server: string;
  repository: string;
  storage: Storage;
  retention: retentions.Retention;
  /** The newest first. */
  verdicts: Verdict<JudgedBackup>[];
}

/** What is to be cleaned. */
export interface ToClean {
  /** Domain or alias; without one every site of the tenant, deleted ones too. */
  domain?: string;
  /** Instead of a domain its id, a deleted one's too. */
  site?: string;
  /** Name of a storage; without one all in which the sites have backups. */
  storage?: string;
}

/**
 * What cleaning would remove, and why what stays stays: by CHOM's own records, without asking anybody.
 * @throws InvalidInput; NotFound no such site or storage
 */
export async function judgeBackups(
  chom: Chom,
  { domain, site: given, storage: name }: ToClean = {},
): Promise<Judged[]> {
  const { tenant, inventory } = chom;
  const { db } = inventory;
  const site = domain === undefined ? given : (await sites.byDomain(db, parseDomain(domain), { tenant })).id;
  const only = name === undefined ? null : await storages.byName(db, tenant, parseStorageName(name));
  const filter = { ...(site !== undefined && { site }), ...(only && { storage: only.id }) };
  const now = Date.now();
  const judged: Judged[] = [];
  for (const { id, ...of } of await repositories.ofTenant(db, tenant, filter)) {
    const storage = await storages.byId(db, of.storage);
    const retention = await retentions.ofSite(db, of.site);
    const verdicts = await cleaning.judge(db, { site: of.site, repository: id, now });
    judged.push({ site: of.site, domain: of.domain, server: of.server, repository: id, storage, retention, verdicts });
  }
  return judged;
}

/**
 * Asks for the backups of one site in one storage to be cleaned. Only what was judged to go does, and that only while it
 * still is. @throws UnsupportedHost nobody is named that may; Busy; TemporalUnavailable
 */
export async function cleanBackups(
  chom: Chom,
  judged: Judged,
  { despiteFindings = false, ...asking }: Asking & { despiteFindings?: boolean } = {},
): Promise<string> {
  const confirmed = judged.verdicts.filter(({ keep }) => !keep).map(({ backup }) => backup.id);
  const plan = cleaningPlan.parse({ ...(await planOf(chom, judged)), confirmed, despiteFindings });
  return await ask(chom, plan, 'clean-backups', `Clean backups of ${judged.domain}`, asking);
}

/** Whose backups are purged: a deleted site's, by its id, for its domain may be another's by now. */
export async function deletedSite({ inventory, tenant }: Chom, text: string): Promise<sites.Site> {
  if (!siteId.safeParse(text).success) {
    throw failure('InvalidInput', `${quoted(text)} is no id of a site`, {
      cause: 'a deleted site is named by its id: its domain may be another one’s by now',
      next: 'chom op list',
    });
  }
  const site = await sites.byId(inventory.db, text);
  if (site.tenant !== tenant) throw failure('NotFound', `There is no site ${text}`, { next: 'chom site list' });
  if (site.status === 'removed') return site;
  throw failure('Conflict', `Site ${site.domain} is ${site.status}: its backups are not purged`, {
    cause: 'only those of a deleted site are',
    next: `chom backup clean ${site.domain}`,
  });
}

/** Asks for everything to be erased that a deleted site has in each storage. @throws as `cleanBackups` */
export async function purgeBackups(
  chom: Chom,
  { id }: sites.Site,
  asking: Pick<Asking, 'wait'> = {},
): Promise<string[]> {
  const plans: PurgePlan[] = [];
  for (const of of await repositories.ofTenant(chom.inventory.db, chom.tenant, { site: id })) {
    const storage = await storages.byId(chom.inventory.db, of.storage);
    plans.push(await planOf(chom, { ...of, repository: of.id, storage }));
  }
  const asked: string[] = [];
  for (const plan of plans) {
    asked.push(await ask(chom, plan, 'purge-backups', `Purge backups of ${plan.domain} (${plan.site})`, asking));
  }
  return asked;
}

async function planOf(
  { inventory, tenant }: Chom,
  { site, domain, server, repository, storage }: Omit<Judged, 'retention' | 'verdicts'>,
): Promise<PurgePlan> {
  if (storage.maintainServer === null && storage.maintainUrl === null && storage.kind !== 'local') {
    throw failure('UnsupportedHost', `CHOM cannot remove backups from storage ${storage.name}`, {
      cause: 'nobody is named that may delete there, and a site’s own server must not be able to',
      next: setKeeper(storage),
    });
  }
  const { name: serverName } = await servers.byId(inventory.db, server);
  const where = { repository, storage: storage.id, storageName: storage.name };
  return purgePlan.parse({ site, tenant, server, serverName, domain, ...where });
}

function setKeeper({ name, kind }: Storage): string {
  const controller = `chom storage set ${name} --maintain controller`;
  if (kind === 'sftp') return `chom storage set ${name} --maintain SERVER:/path; or ${controller} --maintain-key FILE`;
  return `${controller} --maintain-login FILE`;
}

async function ask(
  chom: Chom,
  input: PurgePlan,
  kind: OperationKind,
  summary: string,
  { wait = true, operation, priority }: Asking,
): Promise<string> {
  const { tenant, server, serverName, site, domain } = input;
  const of = { tenant, server, serverName, site, domain };
  return await askFor(chom, { kind, input, summary, ...of, wait, ...(priority && { priority }) }, operation);
}
