import type { FailureDetails, FailureType } from '../workflows/failures.js';
import type { OperationKind } from '../workflows/step.js';
import type { EventType } from './event-types.js';

/** What the failure of an operation is called to the outside. */
const TYPES: Record<OperationKind, EventType> = {
  'enrol-server': 'ServerEnrolmentFailed',
  'remove-server': 'ServerRemovalFailed',
  'rotate-credentials': 'CredentialsRotationFailed',
  'retire-credentials': 'CredentialsRetirementFailed',
  'check-server': 'ServerCheckFailed',
  'reboot-server': 'ServerRebootFailed',
  'provision-site': 'SiteProvisioningFailed',
  'repair-site': 'SiteRepairFailed',
  'issue-certificate': 'CertificateFailed',
  'adopt-server': 'ServerAdoptionFailed',
  'undo-operation': 'OperationUndoFailed',
  'check-storage': 'StorageCheckFailed',
  'create-backup': 'BackupFailed',
  'restore-backup': 'RestoreFailed',
  'undo-restore': 'RestoreUndoFailed',
  'end-undo-window': 'UndoWindowFailed',
  'verify-backup': 'BackupVerificationFailed',
  'clean-backups': 'BackupCleaningFailed',
  'purge-backups': 'BackupPurgeFailed',
  'delete-site': 'SiteDeletionFailed',
  'clear-site': 'SiteClearingFailed',
  'discard-certificate': 'CertificateDiscardFailed',
  'suspend-site': 'SiteSuspensionFailed',
  'resume-site': 'SiteResumptionFailed',
  'change-aliases': 'SiteAliasesFailed',
  'optimise-database': 'DatabaseOptimisationFailed',
  'back-up-control-plane': 'ControlPlaneBackupFailed',
  'roll-acme-account': 'CertificateAccountFailed',
  'rotate-storage-credentials': 'StorageCredentialsRotationFailed',
  'retire-storage-credentials': 'StorageCredentialsRetirementFailed',
};

/** Of these a failure is a matter of security: somebody has to look. */
const CRITICAL: readonly OperationKind[] = ['rotate-credentials', 'retire-credentials'];

/** Whether the failure of such an operation is critical, and its alert one of security. */
export function isCritical(kind: OperationKind): boolean {
  return CRITICAL.includes(kind);
}

/** Why an operation failed. */
export interface Failure {
  type?: FailureType | undefined;
  reason?: string | undefined;
  details?: FailureDetails | undefined;
  warnings: readonly string[];
}

/** What every operation emits that fails, however it ends: that it did, and an alert. */
export function failureEvents(
  kind: OperationKind,
  failed: Failure,
): { type: EventType; data: Record<string, unknown> }[] {
  const { type, reason, details, warnings } = failed;
  const about = TYPES[kind];
  const data = { kind, type, reason, ...details, warnings };
  if (isCritical(kind)) {
    return [
      { type: about, data: { severity: 'critical', ...data } },
      { type: 'Alert', data: { severity: 'critical', area: 'security', about, reason } },
    ];
  }
  return [
    { type: about, data },
    { type: 'Alert', data: { severity: 'error', about, reason } },
  ];
}
