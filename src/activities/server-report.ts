import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Host } from '../host/host.js';
import { supportOf } from '../host/os.js';
import { optionalPackages, wantedPackages } from '../host/packages.js';
import { examineServer, parseServerExamination } from '../host/server-examination.js';
import type { Script } from '../host/shell.js';
import * as credentials from '../inventory/credentials.js';
import * as places from '../inventory/places.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { failureDetails, isFailureType } from '../workflows/failures.js';
import type { Finding } from '../workflows/inspection.js';
import type { Deps } from './deps.js';
import { about, fine, wrong } from './finding.js';
import { serverFindings } from './server-findings.js';

const EXAMINATION_SECONDS = 40;

/**
 * What is right and wrong with a server, or the one finding that kept it from being looked at. `open`: how it is reached, where not over
 * a connection that there may be. @throws NotFound
 */
export async function serverReport(
  deps: Deps,
  id: string,
  open?: () => Promise<Host>,
): Promise<{ reached: boolean; findings: Finding[] }> {
  const { inventory, controller } = deps;
  const { name, user, os, osVersion, protection } = await servers.byId(inventory.db, id);
  const support = supportOf({ id: os ?? '', version: osVersion ?? '' });
  const packages = support ? wantedPackages({ ...support, more: optionalPackages(protection ?? {}) }) : [];
  const seen = await examined(deps, id, examineServer(packages), open);
  if ('finding' in seen) return { reached: false, findings: [seen.finding] };
  const hosted = await sites.list(inventory.db, { server: id });
  const live = hosted.filter((one) => sites.isLive(one));
  const expected = {
    ...{ name, controller, protection },
    sites: live.map(({ id: site, domain, php, status }) => {
      return { site, domain, php: php !== null && status !== 'suspended' };
    }),
    busy: (await places.list(inventory.db, { server: id })).length > 0,
  };
  const found = serverFindings(parseServerExamination(seen.said), expected, Date.now());
  return { reached: true, findings: [fine('login', `CHOM gets in as ${user}, by the pinned host key`), ...found] };
}

/** What a script that changes nothing says, or why it could not be asked. */
export async function examined(
  deps: Deps,
  server: string,
  script: Script,
  open = async () => await deps.hosts.for(server),
): Promise<{ said: string } | { finding: Finding }> {
  const { name } = await servers.byId(deps.inventory.db, server);
  try {
    const host = await open();
    const signal = Context.current().cancellationSignal;
    const { stdout, exit, stderr } = await host.read(script, { limitSeconds: EXAMINATION_SECONDS, signal });
    if (exit === 0) return { said: stdout };
    const said = stderr.trim().split('\n').at(-1);
    return { finding: wrong('login', `${name} cannot be examined: ${said}`, `chom server show ${name}`) };
  } catch (error) {
    return { finding: await loginFinding(deps, server, error) };
  }
}

/** What keeps CHOM from a server, as a finding about the failure's type. Throws what is no failure of CHOM's. */
export async function loginFinding({ inventory }: Deps, server: string, error: unknown): Promise<Finding> {
  if (!(error instanceof ApplicationFailure) || !isFailureType(error.type)) throw error;
  const { name, user } = await servers.byId(inventory.db, server);
  const { cause, next = `chom server show ${name}` } = failureDetails(error);
  const key = await credentials.current(inventory.db, server, 'server-key');
  const refused = error.type === 'LoginRefused' && error.message.includes('refuses the key') && key?.public;
  const mend = refused ? `${letIn(user, refused)} (on ${name})` : next;
  return about(error.type, wrong('login', error.message, mend, cause));
}

/** For whoever is on the server: CHOM, that would do the same as a job, does not get in. */
function letIn(user: string, line: string): string {
  return `su -s /bin/sh ${user} -c "umask 077; mkdir -p ~/.ssh; echo '${line}' >>~/.ssh/authorized_keys"`;
}
