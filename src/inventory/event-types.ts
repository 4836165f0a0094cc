/** Everything that an operation can tell of, as webhooks name it. `Alert` stands beside what went wrong. */
export const EVENT_TYPES = [
  'Alert',
  'BackupCleaningFailed',
  'BackupCompleted',
  'BackupCreated',
  'BackupFailed',
  'BackupPurgeFailed',
  'BackupVerificationFailed',
  'BackupVerified',
  'BackupsCleaned',
  'BackupsPurged',
  'CertificateExpiring',
  'CertificateFailed',
  'CertificateIssued',
  'CredentialsRetired',
  'CredentialsRetirementFailed',
  'CredentialsRotated',
  'CredentialsRotationFailed',
  'OperationDeferred',
  'OperationOverdue',
  'OperationUndoFailed',
  'OperationUnsettled',
  'RestoreCompleted',
  'RestoreFailed',
  'RestoreStarted',
  'RestoreUndoFailed',
  'RestoreUndone',
  'ServerAdopted',
  'ServerAdoptionFailed',
  'ServerEnrolled',
  'ServerEnrolmentFailed',
  'ServerRemovalFailed',
  'ServerRemoved',
  'SiteProvisioned',
  'SiteProvisioningFailed',
  'SiteRepairFailed',
  'SiteRepaired',
  'StorageCheckFailed',
  'StorageChecked',
  'UndoWindowFailed',
] as const;

export type EventType = (typeof EVENT_TYPES)[number];

export function isEventType(text: string): text is EventType {
  return (EVENT_TYPES as readonly string[]).includes(text);
}
