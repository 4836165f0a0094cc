import * as backups from '../inventory/backups.js';
import * as repositories from '../inventory/repositories.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import * as storages from '../inventory/storages.js';
import * as tenants from '../inventory/tenants.js';
import { failure } from '../workflows/failures.js';
import type { ScheduledWork } from '../workflows/run-schedule.js';
import type { OperationKind } from '../workflows/step.js';
import type { Asking } from './ask-for.js';
import { checkServer } from './check-server.js';
import { backUpChom } from './back-up-chom.js';
import { cleanBackups, judgeBackups } from './clean-backups.js';
import { createBackup } from './new-backup.js';
import type { Chom } from './open.js';
import { optimiseDatabase } from './optimise-database.js';
import { renewDue } from './renewals.js';
import { dueRotations, rotateCredentials } from './rotate-credentials.js';
import { watchQueues } from './queue-health.js';
import { storageOfNewest } from './site-storage.js';
import type { Submitter } from './submit.js';
import type { Failed } from './sweep.js';
import { verifyBackup } from './verify-backup.js';

/** One thing that a run of a schedule asks for. */
export interface Item {
  /** Tells it from the others of the run, and decides when in its window it falls due. */
  key: string;
  /** Domain or name, for people. */
  what: string;
  tenant: string;
  server: string;
  /** Asks under that id; false: there turned out to be nothing to do. */
  ask(chom: Chom, asking: Required<Pick<Asking, 'operation' | 'priority'>>): Promise<boolean>;
}

/** What a schedule's runs do: ask for operations, one for each of a list, */
interface Listed {
  kind: OperationKind;
  /** So many of this kind on a server at once, whoever asked for them. */
  perServer: number;
  /** One after the other over all servers, and none after one that failed. */
  inTurn?: true;
  items(chom: Submitter): Promise<Item[]>;
}

/** or something of the controller's own, that is done at once and may be done twice. */
interface Direct {
  act(chom: Submitter): Promise<void>;
}

/** A site's newest backup is tried out again after so long. */
const VERIFIED_FOR_MS = 30 * 24 * 3_600_000;

export const SCHEDULED_WORK: Readonly<Record<ScheduledWork, Listed | Direct>> = {
  'back-up-sites': {
    kind: 'create-backup',
    perServer: 2,
    async items({ inventory: { db } }) {
      const all = (await sites.list(db)).filter((site) => sites.isSettled(site) && site.scheduledBackups);
      return all.map((site) => ({
        ...of(site),
        async ask(chom, asking) {
          const storage = await storageOf(chom, site);
          if (storage === null) return false;
          await createBackup(chom, { domain: site.domain, storage, tag: 'nightly', ...asking });
          return true;
        },
      }));
    },
  },
  'verify-backups': {
    kind: 'verify-backup',
    perServer: 1,
    async items({ inventory: { db } }) {
      const all = (await sites.list(db)).filter((site) => sites.isSettled(site) && site.scheduledBackups);
      return all.map((site) => ({
        ...of(site),
        async ask(chom, asking) {
          const { tenant, id } = site;
          const made = await backups.list(chom.inventory.db, { tenant, site: id, states: ['completed', 'verified'] });
          const [newest] = made;
          if (!newest) return false;
          const last = Math.max(...made.map(({ verifiedAt }) => (verifiedAt === null ? 0 : Date.parse(verifiedAt))));
          if (Date.now() - last < VERIFIED_FOR_MS) return false;
          await verifyBackup(chom, { backup: newest.id }, asking);
          return true;
        },
      }));
    },
  },
  'back-up-control-plane': {
    kind: 'back-up-control-plane',
    perServer: 1,
    async items({ config: { tenant } }) {
      return [
        {
          ...{ key: 'chom', what: 'CHOM itself', tenant, server: '' },
          async ask(chom, { operation }) {
            await backUpChom(chom, { operation });
            return true;
          },
        },
      ];
    },
  },
  'clean-backups': {
    kind: 'clean-backups',
    perServer: 2,
    async items({ inventory: { db } }) {
      const items: Item[] = [];
      for (const { id: tenant } of await tenants.list(db)) {
        for (const { id, site, storage, domain, server } of await repositories.ofTenant(db, tenant)) {
          const { name } = await storages.byId(db, storage);
          items.push({
            ...{ key: id, what: `${domain} in ${name}`, tenant, server },
            async ask(chom, asking) {
              const judged = await judgeBackups(chom, { site, storage: name });
              const due = judged.filter(({ verdicts }) => verdicts.some(({ keep }) => !keep));
              for (const one of due) await cleanBackups(chom, one, asking);
              return due.length > 0;
            },
          });
        }
      }
      return items;
    },
  },
  'rotate-credentials': {
    kind: 'rotate-credentials',
    perServer: 1,
    inTurn: true,
    async items({ inventory }) {
      const items: Item[] = [];
      for (const { id: tenant } of await tenants.list(inventory.db)) {
        for (const { server, name } of await dueRotations({ inventory, tenant })) {
          items.push({
            ...{ key: server, what: name, tenant, server },
            async ask(chom, { operation }) {
              await rotateCredentials(chom, { server: name, operation });
              return true;
            },
          });
        }
      }
      return items;
    },
  },
  'renew-certificates': {
    async act(chom) {
      const failures: Failed[] = [];
      await renewDue(chom, Date.now(), failures);
      // What one sweep could not do the next one tries: here it is only told of.
      if (failures[0]) throw failures[0].error;
    },
  },
  'check-servers': {
    kind: 'check-server',
    perServer: 1,
    async items({ inventory }) {
      const active = (await servers.list(inventory.db)).filter(({ status }) => status === 'active');
      return active.map(({ id, name, tenant }) => ({
        ...{ key: id, what: name, tenant, server: id },
        // One that is looked at already is looked at.
        ask: async (chom, { operation }) => (await checkServer(chom, name, { operation })).operation === operation,
      }));
    },
  },
  'optimise-databases': {
    kind: 'optimise-database',
    perServer: 1,
    async items({ inventory }) {
      const all = (await sites.list(inventory.db)).filter((site) => sites.isLive(site) && site.databaseName !== null);
      return all.map((site) => ({
        ...of(site),
        async ask(chom, { operation }) {
          await optimiseDatabase(chom, site.domain, { operation });
          return true;
        },
      }));
    },
  },
  'check-queues': { act: async ({ inventory, config }) => await watchQueues(inventory, config, Date.now()) },
};

function of({ id, domain, tenant, server }: sites.Site): Omit<Item, 'ask'> {
  return { key: id, what: domain, tenant, server };
}

/** Name of the storage that a site's scheduled backups go to; null: its tenant has none. */
async function storageOf({ inventory: { db } }: Chom, site: sites.Site): Promise<string | null> {
  if (site.backupStorage !== null) return (await storages.byId(db, site.backupStorage)).name;
  const held = await storageOfNewest(db, site);
  if (held) return held.name;
  const [only, another] = await storages.list(db, { tenant: site.tenant });
  if (!only) return null;
  if (!another) return only.name;
  throw failure('InvalidInput', `It is not said which storage the backups of ${site.domain} go to`, {
    cause: 'there are several',
    next: `chom site set ${site.domain} --backup-storage NAME`,
  });
}
