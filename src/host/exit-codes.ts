import type { FailureType } from '../workflows/failures.js';

/**
 * What the scripts of src/host say by their exit code. The last line of stderr is then a sentence for the operator;
 * what the tools printed stands above it. Any other code is an unexpected failure of a command.
 */
export const EXIT = {
  /** Something of that name, user or port is there and is not ours. */
  conflict: 80,
  /** Our own change was refused by the tool's test; nothing was changed. */
  rejected: 81,
  /** The server's configuration was broken before we came; nothing was changed. */
  broken: 82,
  /** The change was live but was not seen to work, and was taken back. */
  notServed: 83,
  diskFull: 84,
  /** Another change to the same service did not end in time. */
  lockTimeout: 85,
  unsupported: 86,
  sourceRejected: 87,
  sourceUnavailable: 88,
  packageManagerBusy: 89,
  /** The uid that the inventory gave is somebody else's on this server. */
  uidTaken: 90,
  /** It belonged to another site here. */
  uidUsed: 91,
  /** A lock on the database did not end in time, or its tables were changed while it was read. */
  databaseLocked: 92,
  /** A table, view or routine is damaged; nothing was changed. */
  databaseBroken: 93,
  /** It came to a stop, and was ended. */
  timedOut: 94,
  /** What was written is not what is read. */
  notReadBack: 95,
  /** The dump ended early, or lacks something: there is no snapshot of it. */
  dumpFailed: 96,
  /** A dump does what the import of a site's database may not, or is none. */
  dumpRejected: 97,
  /** What was restored is not what the manifest of the backup says. */
  notRestored: 98,
} as const;

/** What they mean, for `expectOk`. */
export const EXIT_TYPES: Readonly<Record<(typeof EXIT)[keyof typeof EXIT], FailureType>> = {
  [EXIT.conflict]: 'Conflict',
  [EXIT.rejected]: 'ConfigurationRejected',
  [EXIT.broken]: 'HostConfigurationBroken',
  [EXIT.notServed]: 'ProbeFailed',
  [EXIT.diskFull]: 'DiskFull',
  [EXIT.lockTimeout]: 'TimedOut',
  [EXIT.unsupported]: 'UnsupportedHost',
  [EXIT.sourceRejected]: 'SourceRejected',
  [EXIT.sourceUnavailable]: 'SourceUnavailable',
  [EXIT.packageManagerBusy]: 'PackageManagerBusy',
  [EXIT.uidTaken]: 'Conflict',
  [EXIT.uidUsed]: 'Conflict',
  [EXIT.databaseLocked]: 'DatabaseLocked',
  [EXIT.databaseBroken]: 'DatabaseBroken',
  [EXIT.timedOut]: 'TimedOut',
  [EXIT.notReadBack]: 'RepositoryDamaged',
  [EXIT.dumpFailed]: 'CommandFailed',
  [EXIT.dumpRejected]: 'DumpRejected',
  [EXIT.notRestored]: 'RepositoryDamaged',
};
