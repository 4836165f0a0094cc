import { z } from 'zod';
import * as backup from './backup.js';
import * as batch from './batch.js';
import * as certificate from './certificate.js';
import * as chom from './control-plane.js';
import { checked } from './finding.js';
import * as operation from './operation.js';
import { followed } from './operation.js';
import * as schedule from './schedule.js';
import * as server from './server.js';
import * as site from './site.js';
import * as storage from './storage.js';
import * as tenant from './tenant.js';
import * as webhook from './webhook.js';

const anyLogin = z.strictObject(site.login).partial().shape;
const served = followed({ certificate: certificate.certificate.nullable() });
const removed = z.strictObject({ removed: z.string() });

/**
 * What each command prints with --json where it succeeds; where it fails, it is a `problem`. Programs rely on it: fields may
 * be added, and none goes away.
 */
export const DOCUMENTS: Readonly<Record<string, z.ZodType>> = {
  'server adopt': followed(),
  'server add': followed(server.toldServer),
  'server list': server.servers,
  'server show': server.wholeServer,
  'server tag add': server.taggedServer,
  'server tag remove': server.taggedServer,
  'server doctor': z.strictObject({ server: z.string(), ...checked }),
  'server check': z.union([followed(server.checkedServer), server.checkedServers]),
  'server reboot': followed(server.rebooted),
  'server optimise': z.union([followed(server.optimised), server.optimisedSites]),
  'server remove': followed(server.toldServer),
  'site create': followed({ ...site.toldSite, ...anyLogin }),
  'site list': site.sites,
  'site show': site.wholeSite,
  'site doctor': z.strictObject({ site: z.string(), ...checked }),
  'site repair': followed(),
  'site set': site.setSite,
  'site alias add': followed(),
  'site alias remove': followed(),
  'site tag add': site.taggedSite,
  'site tag remove': site.taggedSite,
  'site suspend': followed(),
  'site resume': followed(),
  'site delete': followed(site.deletedSite),
  'certificate issue': served,
  'certificate renew': z.union([served, certificate.renewed]),
  'certificate list': certificate.certificates,
  'certificate account roll': followed(certificate.account),
  'storage add': storage.wholeStorage,
  'storage list': storage.storages,
  'storage show': storage.wholeStorage,
  'storage set': storage.wholeStorage,
  'storage check': followed(storage.checkedStorage),
  'storage remove': removed,
  'storage rotate': storage.rotatedStorage,
  'storage recovery-kit': storage.recoveryKit,
  'backup create': followed(backup.toldBackup),
  'backup verify': followed(backup.toldBackup),
  'backup list': z.union([backup.backedUp, backup.backups]),
  'backup show': backup.wholeBackup,
  'backup restore': followed({ restore: backup.restore }),
  'backup undo-restore': followed({ restore: backup.restore }),
  'backup clean': backup.cleaned,
  'backup purge': backup.purged,
  'backup database': chom.chomBackup,
  'secrets rotate': server.rotations,
  'event list': webhook.events,
  'key list': chom.keys,
  'key rotate': chom.rotatedKey,
  'key retire': chom.retiredKey,
  'schedule apply': schedule.changed,
  'schedule diff': schedule.differing,
  'schedule list': schedule.schedules,
  'schedule show': schedule.wholeSchedule,
  'schedule pause': schedule.paused,
  'schedule resume': schedule.resumed,
  'schedule run': schedule.run,
  'schedule backfill': schedule.backfilled,
  'op list': operation.operations,
  'op show': operation.wholeOperation,
  'op watch': followed(anyLogin),
  'op cancel': operation.cancelled,
  'op settle': followed(),
  'op retry': z.union([followed(anyLogin), operation.retried]),
  'op forget': operation.forgotten,
  'op logs': operation.loggedOperation,
  'batch run': batch.followedBatch,
  'batch list': batch.batches,
  'batch show': batch.wholeBatch,
  'batch watch': batch.followedBatch,
  'batch pause': batch.batch,
  'batch resume': batch.batch,
  'batch approve': batch.batch,
  'batch cancel': batch.batch,
  'batch retry': batch.followedBatch,
  'chain run': batch.followedBatch,
  'tenant add': tenant.newTenant,
  'tenant list': tenant.tenants,
  'tenant set': tenant.setTenant,
  'webhook add': webhook.newWebhook,
  'webhook list': webhook.webhooks,
  'webhook show': webhook.receiver,
  'webhook test': webhook.tested,
  'webhook retry': webhook.redelivered,
  'webhook remove': removed,
  'token create': tenant.newToken,
  'token list': tenant.tokens,
  'token revoke': tenant.revoked,
  doctor: z.strictObject(checked),
  'recovery-kit': chom.chomKit,
  'restore-control-plane': chom.restoredChom,
  'config show': chom.settings,
  completion: chom.completion,
  'worker builds': chom.builds,
  'worker promote': chom.promoted,
};

/** They run until they are ended, or speak to a shell: of them there is no document. */
export const WITHOUT_DOCUMENT: readonly string[] = ['serve', 'worker', 'codec-server', 'dev', 'complete'];

/** What the same commands print over the API: of what was asked for its end, not what it was for. */
export function overApi(command: string, { asks, follows }: { asks?: true; follows?: true }): z.ZodType | undefined {
  if (asks === true || follows === true) return followed(anyLogin);
  return command === 'storage list' ? storage.usableStorages : DOCUMENTS[command];
}
