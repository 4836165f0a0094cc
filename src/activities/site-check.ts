import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { askSiteVersions, parseSiteVersions } from '../host/boot.js';
import { createSemaphore } from '../host/semaphore.js';
import { sh } from '../host/shell.js';
import * as certificates from '../inventory/certificates.js';
import * as places from '../inventory/places.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import type { CheckPlan, Looked } from '../workflows/check-plan.js';
import type { Finding } from '../workflows/inspection.js';
import { backupFindings } from './backup-findings.js';
import { isWrong } from './check-sightings.js';
import type { Deps } from './deps.js';
import { examined } from './server-report.js';
import { lookFromOutside, type SeenSite } from './site-outside.js';

/** So many sites are looked at at once. */
const AT_ONCE = 4;
/** A site that did not answer is looked at once more: a reload of nginx is over by then. */
const AGAIN_MS = 3_000;
/** What others' name servers say counts once they have said it so often. */
const ELSEWHERE = { checks: 3 };

/** Looks at the sites of a server that nobody works on, as a visitor does. What cannot be seen is not looked at. */
export async function lookAtHosted(deps: Deps, { server, name }: CheckPlan): Promise<Looked> {
  const { db } = deps.inventory;
  const seen = await examined(
    deps,
    server,
    sh`echo "addresses=$(hostname -I)"
${askSiteVersions()}`,
  );
  if ('finding' in seen) return { server: false, sites: [], findings: [seen.finding] };
  const { address } = await servers.byId(db, server);
  const versions = parseSiteVersions(seen.said);
  const addresses = (/^addresses=(.*)$/m.exec(seen.said)?.[1] ?? '').split(' ').filter(Boolean);
  const settled = async () => {
    const line = await places.list(db, { server });
    const atWork = new Set(line.flatMap(({ state, site }) => (state === 'running' ? [site] : [])));
    const held = line.some(({ state, exclusive }) => state === 'running' && exclusive === 1);
    const hosted = held ? [] : await sites.list(db, { server });
    return hosted.filter((site) => sites.isSettled(site) && !atWork.has(site.id));
  };
  const limit = createSemaphore(AT_ONCE);
  const before = await settled();
  const looks = before.map(async (site): Promise<Looked['findings']> => {
    const { id, domain, aliases } = site;
    const outside = await limit.run(async () => {
      const what = { site: id, names: [domain, ...aliases], server: name, address, addresses, onServer: null };
      const version = versions[id] ?? null;
      const suspended = site.status === 'suspended';
      return await lookTwice(deps, {
        ...{ ...what, version, suspended },
        certificate: await certificates.installed(db, id),
      });
    });
    const kept = await backupFindings(db, site, Date.now());
    return [...outside, ...kept.filter(isWrong)].map((finding) => ({ ...finding, site: id }));
  });
  const found = (await Promise.all(looks)).flat();
  // Whoever came to work on one meanwhile may have closed it.
  const after = new Set((await settled()).map(({ id }) => id));
  const looked = before.map(({ id }) => id).filter((id) => after.has(id));
  return { server: true, sites: looked, findings: found.filter(({ site }) => looked.includes(site ?? '')) };
}

/** What was wrong both times. */
async function lookTwice(deps: Deps, site: SeenSite): Promise<Finding[]> {
  const wrong = async () => (await lookFromOutside(deps, site)).filter(({ state }) => state === 'wrong');
  const before = new Set((await wrong()).map(({ name }) => name));
  if (before.size === 0) return [];
  await sleep(AGAIN_MS, undefined, { signal: Context.current().cancellationSignal });
  const still = (await wrong()).filter(({ name }) => before.has(name));
  return still.map((finding) => (finding.name === 'names' ? { ...finding, counts: ELSEWHERE } : finding));
}
