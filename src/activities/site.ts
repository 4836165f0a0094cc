import { Context } from '@temporalio/activity';
import { parseRemote, pinRemote, resolveRemote } from '../host/git.js';
import { askNginxFacts, parseNginxFacts, publishSite, unpublishSite } from '../host/nginx-site.js';
import { paths } from '../host/paths.js';
import { startPhp, stopPhp, type PhpSite } from '../host/php-fpm.js';
import { forgetSource, installSource, sourceInstalled, type SiteSource } from '../host/site-source.js';
import { expectOk } from '../host/exit.js';
import { EXIT, EXIT_TYPES } from '../host/exit-codes.js';
import { createUser, removeUser } from '../host/user.js';
import * as events from '../inventory/events.js';
import * as operations from '../inventory/operations.js';
import * as servers from '../inventory/servers.js';
import * as secrets from '../inventory/secrets.js';
import * as sites from '../inventory/sites.js';
import * as uploads from '../inventory/uploads.js';
import { failure } from '../workflows/failures.js';
import { DEPLOY_KEY, type RepairPlan, runsPhp, type SitePlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { ask, change } from './host-step.js';
import { releaseContent } from './release.js';
import type { Noted } from './server-setup.js';
import { fence, siteServer, type Workplace } from './workplace.js';

/** So many users of others may lie where our uids go on. */
const MOST_UIDS_TRIED = 1000;

/** The steps that make a site on its server, and take it away again. */
export function siteActivities(deps: Deps) {
  const { config, inventory, keyring } = deps;

  return {
    /**
     * Takes names and uid; the operation's end gives the names back when nothing of the site is left on the server.
     * @throws Conflict a taken name; InvalidInput a PHP version that the server lacks; NotFound
     */
    async reserveSite(step: StepContext, plan: SitePlan): Promise<void> {
      if (runsPhp(plan.type) && plan.php === null) {
        throw failure('InvalidInput', `Site ${plan.domain} is to run PHP, but in no version`);
      }
      if (plan.source.kind === 'git') parseRemote(plan.source.url);
      await inventory.fenced(fence(step), async (trx) => {
        await sites.reserve(trx, plan, step.operation);
      });
    },

    /** @throws Conflict a user, group, uid or directory that CHOM has not made for this site; a uid that was another's */
    async createUser(step: StepContext, plan: SitePlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      for (let tries = 1; ; tries += 1) {
        const { uid } = await sites.byId(inventory.db, plan.site);
        const output = await place.job(`create-user-${uid}`, createUser({ site: plan.site, uid }));
        if (output.exit === EXIT.uidUsed) throw usedUid(place.name, uid, output.stderr);
        if (output.exit !== EXIT.uidTaken || tries === MOST_UIDS_TRIED) {
          expectOk(output, place, `Creating user ${plan.site}`, EXIT_TYPES);
          return;
        }
        // useradd gives the administrator's next user the highest uid there is, and one: that of our next site.
        await inventory.fenced(fence(step), async (trx) => await sites.renumber(trx, plan.site));
      }
    },

    /** Ends every process of the site and removes its user and files. */
    async removeUser(step: StepContext, plan: SitePlan): Promise<void> {
      const { uid } = await sites.byId(inventory.db, plan.site);
      const place = await siteServer(deps, step, plan);
      await change(place, 'remove-user', `Removing user ${plan.site}`, removeUser({ site: plan.site, uid }));
    },

    /** @throws SourceRejected, SourceUnavailable, DiskFull */
    async installFiles(step: StepContext, plan: SitePlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      // Before anything is brought to the server; the job asks again.
      const brought = plan.source.kind !== 'placeholder';
      if (brought && (await place.read(sourceInstalled(plan))).exit === 0) return;
      const source = await fetchable(place, step, plan);
      const limitSeconds = source.kind === 'placeholder' ? 60 : 1800;
      const what = `Installing the files of ${plan.domain}`;
      const key = await deployKey(step, plan);
      const installing = installSource(plan, key && source.kind === 'git' ? { ...source, deployKey: true } : source);
      const job = { ...installing, ...(key && { secrets: { [DEPLOY_KEY]: key } }) };
      await change(place, 'install-files', what, job, limitSeconds);
    },

    /** What installing leaves outside the site's own directories, which go with its user. */
    async forgetFiles(step: StepContext, plan: SitePlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      await change(place, 'forget-files', 'Removing the archive', forgetSource(plan, archivePath(plan)));
    },

    /** @throws ConfigurationRejected, ProbeFailed */
    async startPhp(step: StepContext, plan: RepairPlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      await change(place, 'start-php', `Starting PHP of ${plan.domain}`, startPhp(phpSite(plan)));
    },

    async stopPhp(step: StepContext, plan: SitePlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      await change(place, 'stop-php', `Stopping PHP of ${plan.domain}`, stopPhp(phpSite(plan)));
    },

    /**
     * Publishes the site over HTTP and returns the version that it then answers with.
     * @throws ConfigurationRejected, HostConfigurationBroken, Conflict, ProbeFailed
     */
    async publishSite(step: StepContext, plan: SitePlan): Promise<string> {
      const place = await siteServer(deps, step, plan);
      const facts = parseNginxFacts(await ask(place, 'Asking nginx for its version', askNginxFacts()));
      const publishing = publishSite({ ...plan, certificate: false }, facts);
      await change(place, 'publish', `Publishing ${plan.domain}`, publishing);
      return publishing.version;
    },

    async unpublishSite(step: StepContext, plan: SitePlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      await change(place, 'unpublish', `Withdrawing ${plan.domain}`, unpublishSite(plan));
    },

    /** The site is live: from here on it is never undone. Says what it still lacks. */
    async activateSite(step: StepContext, plan: SitePlan): Promise<Noted> {
      const { site, tenant, server, domain, aliases, type, php, tls } = plan;
      return await inventory.fenced(fence(step), async (trx) => {
        await sites.activate(trx, site);
        // It has served: what reads a repository is not kept for nothing.
        await secrets.take(trx, keyring, { operation: step.operation, name: DEPLOY_KEY });
        await operations.commitOperation(trx, step.operation);
        const data = { domain, aliases, type, php, tls };
        await events.emit(trx, { operation: step.operation, type: 'SiteProvisioned', tenant, server, site, data });
        const { name, smtpRelay } = await servers.byId(trx, server);
        return { warnings: runsPhp(type) && smtpRelay === null ? [noRelay(name)] : [] };
      });
    },
  };

  /** The private key that the repository is to be read with; null where none was given. */
  async function deployKey(step: StepContext, { source }: SitePlan): Promise<Buffer | null> {
    if (source.kind !== 'git') return null;
    return await secrets.find(inventory.db, keyring, { operation: step.operation, name: DEPLOY_KEY });
  }

  /** Brings what the source needs to the server: an archive, or the addresses that git may connect to. */
  async function fetchable(place: Workplace, step: StepContext, plan: SitePlan): Promise<SiteSource> {
    const { source } = plan;
    if (source.kind === 'placeholder') return source;
    if (source.kind === 'upload') {
      const { sha256 } = source;
      const archive = archivePath(plan);
      await place.upload(archive, sha256, uploads.read(inventory.db, keyring, step.operation));
      return { kind: 'upload', sha256, archive };
    }
    if (source.kind === 'release') {
      const { sha256 } = source;
      const archive = archivePath(plan);
      const content = await releaseContent(config.home, source, Context.current().cancellationSignal);
      await place.upload(archive, sha256, content);
      return { kind: 'upload', sha256, archive };
    }
    const remote = parseRemote(source.url);
    const resolved = await ask(place, `Resolving ${remote.host}`, resolveRemote(remote));
    return { kind: 'git', remote: pinRemote(remote, resolved, config.allowPrivateGit), ref: source.ref };
  }
}

/** @throws Bug it runs none */
export function phpSite({ site, domain, type, php }: RepairPlan): PhpSite {
  if (php === null) throw failure('Bug', `Site ${domain} runs no PHP`);
  return { site, domain, type, version: php };
}

/** The inventory gives each uid once: one that comes again is from a copy that has forgotten. */
function usedUid(server: string, uid: number, said: string) {
  const [last = ''] = said.trimEnd().split('\n').slice(-1);
  return failure('Conflict', `Uid ${uid} on ${server} belonged to another site: ${last.slice(0, 300)}`, {
    server,
    cause: 'This inventory is an old copy: what it gives out next was given out before',
    next: `chom server adopt ${server} --confirm ${server}`,
  });
}

function noRelay(server: string): string {
  return `${server} has no SMTP relay: what the site sends by mail() goes nowhere — chom server add ${server} … --smtp-relay HOST`;
}

function archivePath({ site }: SitePlan): string {
  return `${paths.staging}/${site}.tar`;
}
