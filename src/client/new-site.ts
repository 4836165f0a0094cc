import * as servers from '../inventory/servers.js';
import type { Server } from '../inventory/servers.js';
import * as secrets from '../inventory/secrets.js';
import * as uploads from '../inventory/uploads.js';
import { failure } from '../workflows/failures.js';
import {
  ADMIN_PASSWORD,
  DEPLOY_KEY,
  PHP_VERSIONS,
  runsPhp,
  SITE_TYPES,
  sitePlan,
  type SitePlan,
  type Source,
} from '../workflows/plans.js';
import { askFor, type Asking } from './ask-for.js';
import { parseDomain } from './domain.js';
import { parseServerName } from './names.js';
import { checkApplication, newPassword, wordpressRelease, type NewApplication } from './new-application.js';
import type { Chom } from './open.js';
import type { PrivateKey } from './private-key.js';
import { refuseTaken } from './taken-names.js';
import { parseSource, UPLOAD_LIMIT_BYTES, type SiteSource } from './source.js';
import { newOperationId, randomId } from './submit.js';
import { quoted } from './text.js';

/** A site as it is wanted, in the operator's words. */
export interface NewSite extends NewApplication, Asking {
  domain: string;
  server: string;
  /** `static` unless said. */
  type?: string;
  /** For all types but `static`; the newest that the server has unless said. */
  php?: string;
  aliases?: readonly string[];
  /** Whether a certificate is issued as soon as the site is live; yes unless said. */
  tls?: boolean;
  /** Directory, tar archive, or git URL with `#branch`; unless said a page that says so much, or a WordPress. */
  from?: string;
  /** Instead of `from`: the id of an archive that this tenant has uploaded. It is gone once the site was asked for. */
  upload?: string;
  /** Reads a git repository over ssh; see `readPrivateKey`. It is kept for this operation alone. */
  deployKey?: PrivateKey;
}

type Checked = Pick<SitePlan, 'domain' | 'aliases' | 'type' | 'tls' | 'database' | 'wordpress'> & {
  php: string | null;
  serverName: string;
};

/**
 * Asks for a site. Everything that can be known beforehand is checked before anything is written.
 * @throws InvalidInput; NotFound no such server; Conflict a name is taken, or the server is not ready; Busy;
 *   TemporalUnavailable
 */
export async function createSite(chom: Chom, wanted: NewSite): Promise<{ operation: string; plan: SitePlan }> {
  const checked = checkNewSite(wanted);
  const source = await sourceOf(chom, wanted, checked.type);
  const { deployKey } = wanted;
  if (deployKey) refuseUselessKey(source);
  const { tenant, inventory, keyring } = chom;
  const server = await servers.byName(inventory.db, tenant, checked.serverName);
  const php = choosePhp(checked, server);
  if (checked.database) refuseWithoutDatabase(server);
  await refuseTaken(chom, [checked.domain, ...checked.aliases]);
  await chom.temporal();
  const site = `s${randomId(9)}`;
  const operation = wanted.operation ?? newOperationId('provision-site');
  const common = { ...checked, php, site, tenant, server: server.id };
  // Proved to be a plan before the first byte is kept.
  const rehearsed = sitePlan.parse({ ...common, source: { kind: 'placeholder' } });
  if (chom.rehearsal) return { operation, plan: rehearsed };
  const plan = sitePlan.parse({ ...common, source: await keep(chom, source, operation) });
  await inventory.transaction(async (trx) => {
    const password = Buffer.from(newPassword());
    if (plan.wordpress) await secrets.put(trx, keyring, { operation, name: ADMIN_PASSWORD }, password);
    if (deployKey) await secrets.put(trx, keyring, { operation, name: DEPLOY_KEY }, deployKey.secret);
  });
  await askFor(
    chom,
    {
      kind: 'provision-site',
      input: plan,
      summary: `Provision ${plan.domain} on ${server.name}`,
      tenant,
      server: server.id,
      serverName: server.name,
      site,
      domain: plan.domain,
      wait: wanted.wait ?? true,
    },
    operation,
  );
  const { upload } = wanted;
  // Should this fail, the sweep takes it away.
  if (upload !== undefined)
    await inventory.transaction((trx) => uploads.remove(trx, uploads.waitingId(tenant, upload)));
  return { operation, plan };
}

/** What is wrong with it by itself. @throws InvalidInput */
export function checkNewSite(wanted: NewSite): Checked {
  const domain = parseDomain(wanted.domain);
  const aliases = (wanted.aliases ?? []).map((alias) => parseDomain(alias, 'alias'));
  const twice = aliases.find((alias, index) => alias === domain || aliases.indexOf(alias) !== index);
  if (twice !== undefined) throw failure('InvalidInput', `${twice} is given twice`);
  if (aliases.length > 99) throw failure('InvalidInput', 'A site has at most 99 aliases');
  const type = SITE_TYPES.find((known) => known === (wanted.type ?? 'static'));
  if (!type) {
    throw failure('InvalidInput', `${quoted(wanted.type ?? '')} is no type of site`, {
      cause: `the types are ${SITE_TYPES.join(', ')}`,
    });
  }
  const { php = null } = wanted;
  if (php !== null && !runsPhp(type)) {
    throw failure('InvalidInput', `A ${type} site has no PHP version`, { next: 'add --type php, or leave --php out' });
  }
  if (php !== null && !PHP_VERSIONS.some((known) => known === php)) {
    throw failure('InvalidInput', `${quoted(php)} is no PHP version that CHOM knows`, {
      cause: `it knows ${PHP_VERSIONS.join(', ')}`,
    });
  }
  if (wanted.from !== undefined && wanted.upload !== undefined) {
    throw failure('InvalidInput', 'A site is made from one thing: from or upload');
  }
  if (type === 'laravel' && wanted.from === undefined && wanted.upload === undefined) {
    throw failure('InvalidInput', 'A Laravel site needs its application', {
      next: 'add --from DIRECTORY, an archive or the URL of a git repository',
    });
  }
  const serverName = parseServerName(wanted.server);
  return {
    domain,
    aliases,
    type,
    php,
    tls: wanted.tls ?? true,
    serverName,
    ...checkApplication(wanted, { domain, type }),
  };
}

function choosePhp(checked: Checked, server: Server): string | null {
  const { name, status } = server;
  if (status !== 'active') {
    const active = 'a site needs a server whose enrolment has succeeded';
    throw failure('Conflict', `Server ${name} is ${status}`, {
      server: name,
      cause: active,
      next: `chom server show ${name}`,
    });
  }
  if (!runsPhp(checked.type)) return null;
  const installed = server.versions.php;
  const newest = PHP_VERSIONS.findLast((known) => installed.includes(known));
  const php = checked.php ?? newest;
  if (php !== undefined && installed.includes(php)) return php;
  throw failure('InvalidInput', `Server ${name} does not have PHP${php === undefined ? '' : ` ${php}`}`, {
    server: name,
    cause: installed.length > 0 ? `it has ${installed.join(', ')}` : 'none was found on it when it was enrolled',
    next: `chom server show ${name}`,
  });
}

function refuseWithoutDatabase({ name, versions }: Server): void {
  if (versions.mariadb !== undefined) return;
  throw failure('InvalidInput', `Server ${name} does not have MariaDB`, {
    server: name,
    cause: 'none was found on it when it was enrolled',
    next: `chom server show ${name}`,
  });
}

async function sourceOf(chom: Chom, { from, upload }: NewSite, type: SitePlan['type']): Promise<SiteSource> {
  if (upload !== undefined) {
    const { inventory, keyring, tenant } = chom;
    const id = uploads.waitingId(tenant, upload);
    if (await uploads.find(inventory.db, id)) {
      return { kind: 'archive', what: upload, content: () => uploads.read(inventory.db, keyring, id) };
    }
    throw failure('NotFound', `There is no upload ${quoted(upload)}`, {
      cause: 'it never was, was used, or is older than an hour',
      next: 'POST /v1/uploads',
    });
  }
  if (from === undefined && type === 'wordpress') return { kind: 'plan', plan: wordpressRelease(chom.config) };
  return await parseSource(from);
}

function refuseUselessKey(source: SiteSource): void {
  if (source.kind === 'plan' && source.plan.kind === 'git' && source.plan.url.startsWith('ssh:')) return;
  throw failure('InvalidInput', 'A deploy key is for a git repository over ssh', {
    next: 'add --from ssh://USER@HOST/PATH, or leave --deploy-key out',
  });
}

async function keep(chom: Chom, source: SiteSource, operation: string): Promise<Source> {
  if (source.kind === 'plan') return source.plan;
  const kept = await uploads.put(chom, operation, source.content(), { limitBytes: UPLOAD_LIMIT_BYTES });
  return { kind: 'upload', ...kept };
}
