/** The registry of workflow types: each name is exported once, under the name that its function has. */
export { adoptServer } from './adopt-server.js';
export { checkStorage } from './check-storage.js';
export { cleanBackups, purgeBackups } from './clean-backups.js';
export { createBackup } from './create-backup.js';
export { endUndoWindow } from './end-undo-window.js';
export { enrolServer } from './enrol-server.js';
export { inspectServer, inspectSite } from './inspection.js';
export { issueCertificate } from './issue-certificate.js';
export { provisionSite } from './provision-site.js';
export { removeServer } from './remove-server.js';
export { repairSite } from './repair-site.js';
export { restoreBackup } from './restore-backup.js';
export { settleOperation } from './settle-operation.js';
export { undoOperation } from './undo-operation.js';
export { undoRestore } from './undo-restore.js';
export { verifyBackup } from './verify-backup.js';
export { checkRepositories, learnStorageKey, makeStorageLogin } from './storage-questions.js';
