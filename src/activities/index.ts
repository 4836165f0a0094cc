import { accountRollActivities } from './account-roll.js';
import { aliasActivities } from './aliases.js';
import { applicationActivities } from './application.js';
import { adoptionActivities } from './adoption.js';
import { backupActivities } from './backup.js';
import { cleaningActivities } from './cleaning.js';
import { clearingActivities } from './clearing.js';
import { controlPlaneActivities } from './control-plane.js';
import { deletionActivities } from './deletion.js';
import { certificateActivities } from './certificate.js';
import { coordinationActivities, type Members } from './coordination.js';
import type { Deps } from './deps.js';
import { exchangeActivities } from './exchange.js';
import { inspectionActivities } from './inspection.js';
import { operationActivities } from './operation.js';
import { probeActivities } from './probe.js';
import { repairActivities } from './repair.js';
import { serverActivities } from './server.js';
import { repositoryActivities } from './repository.js';
import { retirementActivities } from './retirement.js';
import { rotationActivities } from './rotation.js';
import { restoreActivities } from './restore.js';
import { checkActivities } from './server-check.js';
import { rebootActivities } from './reboot.js';
import { optimisationActivities } from './optimisation.js';
import { settlingActivities } from './settling.js';
import { siteActivities } from './site.js';
import { scheduleActivities, type Scheduler } from './schedule.js';
import { stepActivity } from './step.js';
import { storageActivities } from './storage.js';
import { storageQuestions } from './storage-questions.js';
import { storageLoginActivities } from './storage-login.js';
import { storageRetirementActivities } from './storage-retirement.js';
import { storageRotationActivities } from './storage-rotation.js';
import { suspensionActivities } from './suspension.js';
import { verificationActivities } from './verification.js';

/** Every activity that a worker offers, each behind what all steps go through (step.ts). `members`: of batches. */
export function createActivities(
  deps: Deps,
  { scheduler, members }: { scheduler: Scheduler; members: Members },
): Record<string, (...args: never[]) => Promise<unknown>> {
  const groups = [
    operationActivities(deps),
    settlingActivities(deps),
    adoptionActivities(deps),
    serverActivities(deps),
    checkActivities(deps),
    rebootActivities(deps),
    optimisationActivities(deps),
    rotationActivities(deps),
    retirementActivities(deps),
    siteActivities(deps),
    applicationActivities(deps),
    probeActivities(deps),
    repairActivities(deps),
    certificateActivities(deps),
    repositoryActivities(deps),
    storageActivities(deps),
    backupActivities(deps),
    restoreActivities(deps),
    exchangeActivities(deps),
    verificationActivities(deps),
    cleaningActivities(deps),
    deletionActivities(deps),
    clearingActivities(deps),
    suspensionActivities(deps),
    aliasActivities(deps),
    storageLoginActivities(deps),
    controlPlaneActivities(deps),
    accountRollActivities(deps),
    storageRotationActivities(deps),
    storageRetirementActivities(deps),
  ];
  const entries = groups.flatMap((group) => Object.entries(group));
  const names = entries.map(([name]) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new TypeError(`two activities are called ${twice}`);
  const steps = Object.fromEntries(entries.map(([name, activity]) => [name, stepActivity(deps, activity)]));
  // No steps of anything: whoever asks them waits for the answer, or asks for operations.
  return {
    ...{ ...steps, ...inspectionActivities(deps), ...storageQuestions(deps) },
    ...{ ...scheduleActivities(deps, scheduler), ...coordinationActivities(deps, members) },
  };
}
