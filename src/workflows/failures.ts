import { ApplicationFailure } from '@temporalio/common';

/**
 * Every way in which an operation can fail, and whether trying again can help. The workflow's attempts read this
 * table; Temporal's own retries never see these failures (docs/operations.md, "Attempts").
 */
export const RETRYABLE = {
  // What was asked for is wrong: trying again gives the same answer.
  InvalidInput: false,
  NotFound: false,
  Conflict: false,
  Busy: false,
  Forbidden: false,
  // This run is no longer the one that may act: it ends with no undo and no outcome.
  Superseded: false,
  // Reaching a server.
  Unreachable: true,
  ConnectionLost: true,
  Penalised: true,
  LoginRefused: false,
  HostKeyMismatch: false,
  HostKeyUnconfirmed: false,
  // Work on a server.
  Interrupted: true,
  TimedOut: true,
  DiskFull: true,
  PackageManagerBusy: true,
  CommandFailed: true,
  StaleClaim: false,
  UnsupportedHost: false,
  ConfigurationRejected: false,
  HostConfigurationBroken: false,
  SourceRejected: false,
  SourceUnavailable: true,
  ProbeFailed: true,
  // Certificates.
  AuthorityUnreachable: true,
  AuthorityError: true,
  RateLimited: true,
  ValidationFailed: true,
  DomainNotPointed: false,
  CertificateRefused: false,
  // Backups.
  DatabaseLocked: true,
  DatabaseBroken: false,
  DumpRejected: false,
  // More than is free is needed: nothing was begun.
  NoRoom: false,
  StorageUnreachable: true,
  StorageRefused: false,
  StorageFull: true,
  NoRepository: false,
  WrongPassword: false,
  RepositoryLocked: true,
  RepositoryDamaged: false,
  // What lies there is not as CHOM left it: nothing is removed until somebody has looked.
  RepositorySuspect: false,
  // Of CHOM's own data.
  BackupDamaged: false,
  // No copy of CHOM's own data holds what must not get lost: what would rely on one waits for it.
  NotBackedUp: false,
  // A step of another operation would have had to wait for long: it is owed, and tried again by itself.
  Deferred: false,
  // Ourselves.
  InventoryUnavailable: true,
  TemporalUnavailable: true,
  NoWorker: true,
  Unexpected: true,
  Bug: false,
} as const satisfies Record<string, boolean>;

/** The closed union of failure types: the `type` of every `ApplicationFailure` that CHOM throws. */
export type FailureType = keyof typeof RETRYABLE;

/** Ways in which a server, or what we know of it, cannot be reached now: nothing was learnt about the work itself. */
const AWAY: readonly FailureType[] = [
  'Unreachable',
  'ConnectionLost',
  'Penalised',
  'LoginRefused',
  'HostKeyMismatch',
  'InventoryUnavailable',
];

/** Whether waiting, or an operator who mends the access, may change the answer. */
export function isAway(type: FailureType): boolean {
  return AWAY.includes(type);
}

/** What an operator needs beside the message. All fields are safe to log: they hold no secret. */
export interface FailureDetails {
  /** Name of the server concerned. */
  server?: string;
  /** The step that failed, as the operator knows it. */
  step?: string;
  /** The likely cause, one sentence. */
  cause?: string;
  /** The command to run next. */
  next?: string;
  /** The operation that is in the way. */
  holder?: string;
  /** Seconds that the other side asked us to wait. */
  retryAfterSeconds?: number;
  /** Last lines of the program's output. */
  output?: string;
}

/**
 * The only failure that leaves an activity or a workflow. Non-retryable for Temporal, always: attempts are counted by
 * the operation, Temporal's own retries are for lost workers.
 */
export function failure(type: FailureType, message: string, details: FailureDetails = {}): ApplicationFailure {
  return ApplicationFailure.create({ type, message, nonRetryable: true, details: [details] });
}

/** Whether `type` is one of ours. */
export function isFailureType(type: unknown): type is FailureType {
  return typeof type === 'string' && Object.hasOwn(RETRYABLE, type);
}

/** The details of a failure made by `failure`; empty for any other. */
export function failureDetails(error: ApplicationFailure): FailureDetails {
  const [first] = error.details ?? [];
  return typeof first === 'object' && first !== null ? (first as FailureDetails) : {};
}
