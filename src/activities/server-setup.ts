import { forgetRotation, rotateLogs } from '../host/logrotate.js';
import { askMariadb, configureMariadb, parseMariadb } from '../host/mariadb.js';
import { askForeign, bootstrapNginx, parseForeign } from '../host/nginx-bootstrap.js';
import { askNginxFacts, parseNginxFacts } from '../host/nginx-site.js';
import { askVersions, inspect, parseInspection, parseVersions, supportOf, type Inspection } from '../host/os.js';
import { installPackages, optionalPackages } from '../host/packages.js';
import { bootstrapPhp } from '../host/php-fpm.js';
import { stateDirectories } from '../host/state.js';
import { askNextUid } from '../host/uids.js';
import type { Trx } from '../inventory/database.js';
import * as events from '../inventory/events.js';
import * as machines from '../inventory/machines.js';
import * as operations from '../inventory/operations.js';
import * as servers from '../inventory/servers.js';
import { failure } from '../workflows/failures.js';
import type { ServerPlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { chooseRestic } from './restic-release.js';
import { ask, change } from './host-step.js';
import { fence, workplace, type Workplace } from './workplace.js';

const LEAST_FREE_MIB = 1024;
/** Certificates and tokens are wrong on a server whose clock is. */
const MOST_CLOCK_SECONDS = 300;
const PACKAGES_SECONDS = 1700;

/** What the operator should know of a server that serves others too. */
export interface Noted {
  warnings: string[];
}

/** The steps that make a Debian or Ubuntu server ready for sites. What is there already is left alone. */
export function serverSetupActivities(deps: Deps) {
  const { inventory } = deps;

  async function serverPlace(step: StepContext, plan: ServerPlan): Promise<Workplace> {
    return await workplace(deps, step, plan.server, 'server');
  }

  async function inspected(place: Workplace): Promise<Inspection> {
    return parseInspection(await ask(place, 'Inspecting the server', inspect()));
  }

  return {
    /** Changes nothing there. @throws UnsupportedHost, DiskFull, Conflict (ports; another name of it), LoginRefused */
    async checkServer(step: StepContext, plan: ServerPlan): Promise<Noted> {
      const found = await inspected(await serverPlace(step, plan));
      refuseUnfit(plan.name, found);
      const { machineId } = found;
      if (machineId !== null) {
        const identify = async (trx: Trx) => await machines.identify(trx, plan.server, machineId);
        const twin = await inventory.fenced(fence(step), identify);
        if (twin) throw knownAs(plan.name, twin);
      }
      const untested = supportOf(found.release)?.tested === false;
      return { warnings: untested ? [`${found.release.name}: CHOM is not tested on this release`] : [] };
    },

    /** @throws PackageManagerBusy, DiskFull; SourceUnavailable, SourceRejected the release of restic */
    async installPackages(step: StepContext, plan: ServerPlan): Promise<void> {
      const place = await serverPlace(step, plan);
      const { release } = await inspected(place);
      const support = supportOf(release);
      if (!support) throw unsupported(plan.name, release.name);
      await change(place, 'directories', 'Making directories', stateDirectories());
      await change(
        place,
        'packages',
        'Installing packages',
        installPackages({ ...support, more: optionalPackages(plan) }),
        PACKAGES_SECONDS,
      );
      await chooseRestic(deps, place);
    },

    /** @throws HostConfigurationBroken, ConfigurationRejected, Conflict, ProbeFailed */
    async bootstrapNginx(step: StepContext, plan: ServerPlan): Promise<Noted> {
      const place = await serverPlace(step, plan);
      const facts = parseNginxFacts(await ask(place, 'Asking nginx for its version', askNginxFacts()));
      const foreign = parseForeign(await ask(place, 'Reading the configuration of nginx', askForeign()));
      await change(place, 'nginx', 'Configuring nginx', bootstrapNginx(foreign, facts));
      if (plan.logrotate === false) await change(place, 'logs', 'Withdrawing from logrotate', forgetRotation());
      else await change(place, 'logs', 'Letting logrotate know the logs', rotateLogs());
      return {
        warnings: foreign.defaultPorts.map(
          (port) => `Port ${port} has a default server that is not CHOM's: it is left, and answers for unknown names`,
        ),
      };
    },

    async bootstrapPhp(step: StepContext, plan: ServerPlan): Promise<void> {
      await change(await serverPlace(step, plan), 'php', 'Configuring PHP', bootstrapPhp());
    },

    async bootstrapMariadb(step: StepContext, plan: ServerPlan): Promise<Noted> {
      const place = await serverPlace(step, plan);
      const { ours, bindAddress, localInfile } = parseMariadb(await ask(place, 'Asking MariaDB', askMariadb()));
      if (ours) {
        await change(place, 'mariadb', 'Configuring MariaDB', configureMariadb());
        return { warnings: [] };
      }
      const loopback = ['127.0.0.1', '::1', 'localhost'].includes(bindAddress);
      return {
        warnings: [
          "MariaDB holds databases that are not CHOM's: its settings are left as they are",
          ...(loopback ? [] : [`MariaDB listens on ${bindAddress || 'all addresses'}`]),
          ...(localInfile ? ['MariaDB allows LOAD DATA LOCAL INFILE'] : []),
        ],
      };
    },

    /** The server takes sites from here on. */
    async activateServer(step: StepContext, plan: ServerPlan): Promise<void> {
      const place = await serverPlace(step, plan);
      const { release } = await inspected(place);
      const { ipv6: _, ...versions } = parseVersions(await ask(place, 'Asking for versions', askVersions()));
      const nextUid = Number(await ask(place, 'Asking for uids', askNextUid()));
      const { server, tenant, name, firewall, updates = false, swap = false, logrotate = true } = plan;
      await inventory.fenced(fence(step), async (trx) => {
        await servers.recordFacts(trx, server, { os: release.id, osVersion: release.version, versions });
        await servers.learnNextUid(trx, server, nextUid);
        await servers.setStatus(trx, server, 'active');
        if (firewall !== undefined) await servers.setProtection(trx, server, { firewall, updates, swap, logrotate });
        await operations.commitOperation(trx, step.operation);
        const data = { name, os: release.name, versions };
        await events.emit(trx, { operation: step.operation, type: 'ServerEnrolled', tenant, server, site: null, data });
      });
    },
  };
}

function refuseUnfit(server: string, { release, systemd, clock, freeMiB, portHolders }: Inspection): void {
  if (!supportOf(release)) throw unsupported(server, release.name);
  if (!systemd) {
    throw failure('UnsupportedHost', `${server} is not run by systemd`, {
      server,
      cause: 'It is a container without an init, or runs another one',
    });
  }
  const off = Math.round(clock - Date.now() / 1000);
  if (Math.abs(off) > MOST_CLOCK_SECONDS) {
    throw failure('UnsupportedHost', `The clock of ${server} is ${Math.abs(off)} s ${off > 0 ? 'ahead' : 'behind'}`, {
      server,
      cause: 'No time synchronisation runs there, or the clock of this machine is wrong',
      next: `timedatectl set-ntp true (on ${server})`,
    });
  }
  if (freeMiB < LEAST_FREE_MIB) {
    throw failure('DiskFull', `${server} has ${freeMiB} MiB free, ${LEAST_FREE_MIB} are needed`, {
      server,
      next: `df -h /var /srv /etc (on ${server})`,
    });
  }
  if (portHolders.length > 0) {
    throw failure('Conflict', `On ${server}, ${portHolders.join(' and ')} holds port 80 or 443, which nginx needs`, {
      server,
      next: `ss -ltnp (on ${server}); stop that program, or choose another server`,
    });
  }
}

function knownAs(server: string, { name, address, status, foreign }: machines.Twin) {
  const as = foreign ? '' : `: it is ${name} (${address}), which is ${status}`;
  return failure('Conflict', `The machine of ${server} is here already${as}`, {
    server,
    cause: 'Its host key and /etc/machine-id are the same; a copy of a disk has to get its own of both first',
    next: foreign ? `ssh-keygen -A; systemd-machine-id-setup (on ${server})` : `chom server show ${name}`,
  });
}

function unsupported(server: string, release: string) {
  return failure('UnsupportedHost', `${server} runs ${release}`, {
    server,
    cause: 'CHOM runs on Debian 12 and 13; Ubuntu 22.04 and 24.04 are accepted untested',
  });
}
