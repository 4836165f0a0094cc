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
export { repairSite } from './repair-site.js';
export { addTenant } from './tenant.js';
export { adoptServer } from './adopt.js';
export { settleOperation } from './settle.js';
export { takeBackNow } from './tries.js';
export { cancelOperation } from './cancel.js';
export { answer, watch, type Seen, type WatchOptions } from './watch.js';
export { failureDetails, isFailureType, type FailureDetails, type FailureType } from '../workflows/failures.js';
