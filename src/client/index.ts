/** CHOM for programs: the same verbs as the `chom` command, without a word on the console. */
export { openChom, type Chom } from './open.js';
export { submit, newOperationId, type Request, type Submitter } from './submit.js';
export { enrolServer, type NewServer } from './new-server.js';
export { inspectServer, inspectSite } from './inspect.js';
export type { Finding, Report } from '../workflows/inspection.js';
export { removeServer } from './remove-server.js';
export { parsePrivateKey, readPrivateKey, type PrivateKey } from './private-key.js';
export { createSite, type NewSite } from './new-site.js';
export { issueCertificate } from './new-certificate.js';
export { renewCertificate, renewCertificates, type Renewing } from './renew-certificate.js';
export { createBackup, type NewBackup } from './new-backup.js';
export { restoreBackup, type NewRestore } from './new-restore.js';
export { undoRestore, type Undoing } from './undo-restore.js';
export { repairSite } from './repair-site.js';
export { changeAliases, type AliasChange } from './change-aliases.js';
export { tagServer, tagSite } from './tag.js';
export { resumeSite, suspendSite } from './suspend-site.js';
export { deleteSite, type Deletion } from './new-deletion.js';
export { verifyBackup, type Verified } from './verify-backup.js';
export { addStorage, type NewStorage } from './new-storage.js';
export { cleanBackups, deletedSite, judgeBackups, purgeBackups, type Judged, type ToClean } from './clean-backups.js';
export { keepStorage } from './keep-storage.js';
export { checkServer } from './check-server.js';
export { rebootServer, type Reboot } from './reboot-server.js';
export { optimiseDatabase } from './optimise-database.js';
export { checkStorage, lookThroughStorage } from './check-storage.js';
export { dueRotations, rotateCredentials, type Rotation } from './rotate-credentials.js';
export { backUpChom, type ChomBackup } from './back-up-chom.js';
export { rollAccount, type AccountRoll } from './roll-account.js';
export { rotatableSites, rotateStorage, type StorageRotation } from './rotate-storage.js';
export { rotateKey, type KeyRotated, type KeyRotation } from './rotate-key.js';
export { retireKey } from './retire-key.js';
export type { KeyAge } from '../inventory/rotations.js';
export { runBatch, runChain } from './run-batch.js';
export type { NewBatch, NewChain, Selector, Wanted } from './batch-schema.js';
export { approveBatch, cancelBatch, pauseBatch, resumeBatch, retryBatch } from './batch-control.js';
export { watchBatch, type SeenBatch } from './watch-batch.js';
export {
  applySchedules,
  backfillSchedule,
  listSchedules,
  pauseSchedule,
  resumeSchedule,
  runScheduleNow,
  type KnownSchedule,
} from './schedules.js';
export { addWebhook, type NewWebhook } from './webhook-verbs.js';
export { createToken, type NewToken } from './token-verbs.js';
export { addTenant } from './tenant.js';
export { adoptServer } from './adopt.js';
export { settleOperation } from './settle.js';
export { takeBackNow } from './tries.js';
export { cancelOperation } from './cancel.js';
export { answer, watch, type Seen, type WatchOptions } from './watch.js';
export { failureDetails, isFailureType, type FailureDetails, type FailureType } from '../workflows/failures.js';
