import type { Generated } from 'kysely';

/**
 * The tables as Kysely sees them, the same over SQLite and PostgreSQL: ids and ISO-8601 UTC times are text, booleans
 * are 0 or 1, JSON is text. Columns are snake_case in the database (CamelCasePlugin).
 */
export interface Schema {
  tenants: TenantsTable;
  servers: ServersTable;
  credentials: CredentialsTable;
  sites: SitesTable;
  siteNames: SiteNamesTable;
  certificates: CertificatesTable;
  renewals: RenewalsTable;
  operations: OperationsTable;
  places: PlacesTable;
  turns: TurnsTable;
  epochs: EpochsTable;
  undos: UndosTable;
  obligations: ObligationsTable;
  events: EventsTable;
  uploads: UploadsTable;
  uploadChunks: UploadChunksTable;
  operationSecrets: OperationSecretsTable;
  accounts: AccountsTable;
  keyIds: KeyIdsTable;
  workers: WorkersTable;
  controllers: ControllersTable;
  storages: StoragesTable;
  repositories: RepositoriesTable;
  backups: BackupsTable;
  snapshots: SnapshotsTable;
  restores: RestoresTable;
  backupUses: BackupUsesTable;
  webhooks: WebhooksTable;
  deliveries: DeliveriesTable;
  serverChecks: ServerChecksTable;
  findings: FindingsTable;
  optimisations: OptimisationsTable;
  batches: BatchesTable;
  batchItems: BatchItemsTable;
  apiTokens: ApiTokensTable;
  apiRequests: ApiRequestsTable;
}

/** A boolean that both databases store alike. */
export type Bit = 0 | 1;

export interface TenantsTable {
  id: string;
  name: string;
  /** JSON of `RetentionOverride`: which backups of its sites are kept. */
  retention: Generated<string>;
  /** Whose days, weeks and months these are. */
  timezone: Generated<string>;
  createdAt: string;
}

export type ServerStatus = 'enrolling' | 'active' | 'failed' | 'removed';

export interface ServersTable {
  id: string;
  tenant: string;
  name: string;
  address: string;
  port: number;
  user: string;
  /** Full public key line; null until pinned. */
  hostKey: string | null;
  /** `SHA256:…` as ssh-keygen prints it. */
  hostKeyFingerprint: string | null;
  /** Hash of its `/etc/machine-id`; null until enrolment has looked. */
  machine: string | null;
  status: ServerStatus;
  os: string | null;
  osVersion: string | null;
  /** JSON of `Versions`. */
  versions: string;
  nextUid: number;
  /** `host:port` that takes the mail of its sites; null: their mail goes nowhere. */
  smtpRelay: string | null;
  /** So many operations work on it at the same time. */
  atOnce: Generated<number>;
  /** JSON of `Protection`; null where nothing was said of it. */
  protection: string | null;
  /** JSON array, in alphabetical order. */
  tags: Generated<string>;
  createdAt: string;
  updatedAt: string;
}

export type CredentialKind = 'bootstrap' | 'server-key' | 'acme-account';
export type CredentialState = 'current' | 'next' | 'retired';

export interface CredentialsTable {
  id: string;
  server: string | null;
  kind: CredentialKind;
  /** The public half, where there is one. */
  public: string | null;
  sealed: string;
  state: CredentialState;
  createdAt: string;
  /** Since when a backup of CHOM's own data holds it, with the keyring that opens it; null: none does. */
  backedUpAt: string | null;
}

export type SiteType = 'static' | 'php' | 'wordpress' | 'laravel';
export type SiteStatus = 'provisioning' | 'active' | 'failed' | 'removed';

export interface SitesTable {
  id: string;
  tenant: string;
  server: string;
  uid: number;
  domain: string;
  /** JSON array. */
  aliases: string;
  type: SiteType;
  php: string | null;
  tls: Bit;
  /** Its database and database user; null: it has none. */
  databaseName: string | null;
  status: SiteStatus;
  /** The operation that restores into it at this moment, or takes that back. */
  restoring: string | null;
  /** Since when visitors are turned away, and why; null: they are not. */
  suspendedAt: string | null;
  suspendedReason: string | null;
  /** The operation that deletes it, from the moment on that it cannot come back. */
  deletedBy: string | null;
  /** JSON of `RetentionOverride`: where it says nothing, its tenant's counts. */
  retention: Generated<string>;
  /** Schedules back it up, and try its backups out. */
  scheduledBackups: Generated<Bit>;
  /** Where these backups go; null: where its newest lies, or to the only storage there is. */
  backupStorage: string | null;
  /** JSON array, in alphabetical order. */
  tags: Generated<string>;
  /** The operation that reserved it. */
  createdBy: string;
  createdAt: string;
  updatedAt: string;
}

/** Who holds a domain or alias: one site, over all tenants and servers. */
export interface SiteNamesTable {
  name: string;
  site: string;
}

export type CertificateState = 'issued' | 'installed' | 'replaced';

export interface CertificatesTable {
  id: string;
  site: string;
  /** JSON array. */
  names: string;
  serial: string;
  fingerprint: string;
  issuer: string;
  notBefore: string;
  notAfter: string;
  chain: string;
  state: CertificateState;
  /** Directory URL of the authority that issued it; null where that was not kept yet. */
  authority: string | null;
  createdAt: string;
}

/** What a site in service owes of its certificate: one row for each that has one. */
export interface RenewalsTable {
  site: string;
  /** The one that is to be renewed. */
  certificate: string;
  /** When the next try is; null: it was given up. */
  due: string | null;
  /** Until then the authority wants to be left alone. */
  heldUntil: string | null;
  /** How many operations were asked for, over all certificates of the site. */
  tries: Generated<number>;
  /** The last one was at the fallback authority. */
  fallback: Generated<Bit>;
  /** In a row, of this certificate. */
  failures: Generated<number>;
  failingSince: string | null;
  failedAt: string | null;
  failureType: string | null;
  reason: string | null;
  /** The authority's own window (RFC 9773), and the page on which it explains it. */
  windowStart: string | null;
  windowEnd: string | null;
  explanation: string | null;
  /** When it is asked for its window again. */
  askAt: string;
  /** When the next `ExpiryStage` is reached, and told; null: all were. */
  warnAt: string | null;
}

export type OperationState = 'asked' | 'waiting' | 'running' | 'ended';
export type Outcome = 'succeeded' | 'failed' | 'cancelled';
export type Priority = 'high' | 'default' | 'low';

export interface OperationsTable {
  id: string;
  kind: string;
  /** Sealed JSON. */
  input: string;
  tenant: string;
  server: string | null;
  site: string | null;
  cluster: string;
  namespace: string;
  state: OperationState;
  run: string | null;
  epoch: number;
  root: string;
  parent: string | null;
  committed: Bit;
  /** Index of the final step, once it was entered: it may or may not have taken effect. */
  committing: number | null;
  /** It goes back: nothing can be committed or journalled any more. */
  undoing: Bit;
  outcome: Outcome | null;
  failureType: string | null;
  reason: string | null;
  /** JSON. */
  details: string | null;
  /** JSON array. */
  warnings: string;
  /** JSON array. */
  steps: string;
  priority: Priority;
  askedAt: string;
  /** Before that no run begins it, and it has no place in line; null: at once. */
  startsAt: string | null;
  /** Of Temporal; null: that of whoever starts it. */
  taskQueue: string | null;
  startedAt: string | null;
  endedAt: string | null;
  /** Since when a failed one is not listed as such any more. */
  forgottenAt: string | null;
}

export interface PlacesTable {
  root: string;
  server: string | null;
  site: string | null;
  tenant: string;
  priority: Priority;
  exclusive: Bit;
  state: 'waiting' | 'running';
  /** Position in the server's line: whoever came later has a higher one. */
  turn: number;
  /** What its changes on the host are made at; 0 while it waits. */
  epoch: number;
  /** 0 from the moment it was granted by somebody else until its workflow knows. */
  acknowledged: Bit;
  /** Since when it waits, or runs. */
  since: string;
}

/** When a tenant was last given a place on a server: higher is later. */
export interface TurnsTable {
  server: string;
  tenant: string;
  served: number;
}

/** The last epoch that was given out for a site or server; only grows. */
export interface EpochsTable {
  /** `site/<id>` or `server/<id>`. */
  scope: string;
  epoch: number;
}

export type UndoState = 'journalled' | 'undone' | 'failed';

export interface UndosTable {
  operation: string;
  step: number;
  activity: string;
  /** The step, as the operator knows it. */
  label: Generated<string>;
  /** Sealed JSON array. */
  args: string;
  state: UndoState;
  reason: string | null;
  at: string;
}

export type ObligationState = 'open' | 'done' | 'void';

export interface ObligationsTable {
  operation: string;
  name: string;
  /** JSON. */
  targets: string;
  due: string;
  state: ObligationState;
  /** How many operations were asked for to meet it. */
  tries: Generated<number>;
}

export interface EventsTable {
  seq: Generated<number>;
  operation: string;
  type: string;
  tenant: string;
  server: string | null;
  site: string | null;
  /** JSON. */
  data: string;
  at: string;
  deliveredAt: string | null;
}

/** One per operation. */
export interface UploadsTable {
  operation: string;
  /** Null while bytes are still arriving. */
  sha256: string | null;
  size: number;
  createdAt: string;
}

export interface UploadChunksTable {
  operation: string;
  n: number;
  /** Sealed. */
  bytes: Buffer;
}

/** Secrets that an operation puts to use, until they were shown to whoever asked for it. */
export interface OperationSecretsTable {
  operation: string;
  name: string;
  sealed: string;
  createdAt: string;
}

export interface AccountsTable {
  directory: string;
  url: string;
  credential: string;
  contact: string | null;
}

/** Keys that sealed something here. */
export interface KeyIdsTable {
  id: string;
  createdAt: string;
  /** Since when nothing here is sealed with it any more; histories may be. */
  replacedAt: string | null;
  /** Since when nobody needs it; a worker starts without it. */
  retiredAt: string | null;
  /** Since when a backup of CHOM's own data holds it. */
  backedUpAt: string | null;
}

/** Which keys workers hold: each tells of itself. */
export interface WorkersTable {
  /** As Temporal lists it. */
  identity: string;
  /** Id of the key that it seals with. */
  current: string;
  /** JSON array of ids. */
  keys: string;
  seenAt: string;
}

/** One row: which installation of CHOM this inventory is of. */
export interface ControllersTable {
  one: 1;
  id: string;
  createdAt: string;
}

export type StorageKind = 'sftp' | 'rest' | 's3' | 'local';
/** Whether who logs in as a site could delete its backups. */
export type StorageAccess = 'append-only' | 'deletable';
export type StorageLogins = 'shared' | 'per-site';

/** Where repositories lie. */
export interface StoragesTable {
  id: string;
  /** Null: all tenants may use it. */
  tenant: string | null;
  name: string;
  kind: StorageKind;
  /** As restic takes it, without a login, a path below which each site has its own; see `repositoryUrl`. */
  url: string;
  /** Of SFTP: the pinned host key, `type base64`, and its fingerprint. */
  hostKey: string | null;
  hostKeyFingerprint: string | null;
  /** Of a REST server: PEM of the CA that its certificate comes from, where that is not a public one. */
  ca: string | null;
  logins: StorageLogins;
  /** Of a shared login what is public: the SSH public key, a user name, an access key's id. */
  loginPublic: string | null;
  /** The shared login, sealed JSON of `StorageLogin`; null: it needs none, or each site has its own. */
  sealedLogin: string | null;
  /** As it was found by trying, never as it was said; null: not tried yet. */
  access: StorageAccess | null;
  probedAt: string | null;
  /** The enrolled server that keeps the files, and where: what prunes and checks runs there. */
  maintainServer: string | null;
  maintainPath: string | null;
  /** Where nobody keeps the files: as restic on CHOM's own machine takes it. Then the two before are null. */
  maintainUrl: string | null;
  maintainLoginPublic: string | null;
  /** By what CHOM's own machine gets in, and may delete; sealed JSON of `StorageLogin`. */
  maintainSealedLogin: string | null;
  createdAt: string;
  updatedAt: string;
}

/** restic's repository of one site in one storage. */
export interface RepositoriesTable {
  id: string;
  storage: string;
  /** Null: the one by which CHOM tries the storage. */
  site: string | null;
  /** As restic takes it, without a login. */
  url: string;
  sealedPassword: string;
  loginPublic: string | null;
  /** Its own login, sealed JSON of `StorageLogin`; null: the storage's. */
  sealedLogin: string | null;
  /** What is to open it, sealed, while an operation changes over to that. */
  sealedNextPassword: string | null;
  sealedNextLogin: string | null;
  nextLoginPublic: string | null;
  /** What opened it before, sealed, and still does. */
  sealedOldPassword: string | null;
  /** Since when a backup of CHOM's own data holds the password in use; null: none does, or it was never changed. */
  passwordBackedUpAt: string | null;
  /** restic's id of it (`restic cat config`), once it was read. */
  resticId: string | null;
  /** Since when the password lies beside it, sealed to the recovery key, and was read back. */
  escrowedAt: string | null;
  initialisedAt: string | null;
  /** Of its data, in so many parts, this one was read last and found whole. */
  dataPart: number | null;
  dataParts: number | null;
  dataReadAt: string | null;
  createdAt: string;
}

export type BackupKind = 'full' | 'files' | 'database';
export type BackupState = 'creating' | 'partial' | 'completed' | 'verified' | 'failed' | 'deleted';

/** All snapshots of one operation. */
export interface BackupsTable {
  id: string;
  operation: string;
  site: string;
  repository: string;
  kind: BackupKind;
  /** What it was made for: `manual`, `scheduled`, `pre-restore`, `final`, or the operator's own word. */
  tag: string;
  state: BackupState;
  startedAt: string;
  finishedAt: string | null;
  /** What was read, and what of it the repository did not have yet. */
  bytes: number | null;
  newBytes: number | null;
  files: number | null;
  manifestSha256: string | null;
  /** The caller's; null: as the policy says. */
  retentionDays: number | null;
  /** By how much the files follow the dump. */
  apartSeconds: number | null;
  verifiedAt: string | null;
  /** When it was last found not to restore, and why; null: it was not, or was verified since. */
  verifyFailedAt: string | null;
  verifyFailure: string | null;
  /** Why it failed, is partial, or was deleted. */
  reason: string | null;
  /** The operation that removes it, or has. */
  removedBy: Generated<string | null>;
}

/** What reads a backup, or means to: counts until that operation has an outcome. */
export interface BackupUsesTable {
  backup: string;
  operation: string;
}

export type SnapshotRole = 'files' | 'database' | 'manifest';

export interface SnapshotsTable {
  /** restic's id in full, 64 hexadecimal digits. */
  id: string;
  backup: string;
  role: SnapshotRole;
  bytes: number;
  newBytes: number;
  files: number;
}

export type RestoreState = 'restoring' | 'restored' | 'undone' | 'failed' | 'ended';

/** A backup that was put in the place of what was there, which is kept beside for a while. */
export interface RestoresTable {
  operation: string;
  backup: string;
  /** Into which it was restored. */
  site: string;
  files: Bit;
  database: Bit;
  /** The one file or directory that was restored; null: all of what the flags say. */
  path: string | null;
  /** Of the restored database, as it came with the backup. */
  databaseCharset: string | null;
  databaseCollation: string | null;
  /** `restored` as long as it can be undone; `ended`: what was there before is gone. */
  state: RestoreState;
  /** The backup of what was there before. */
  safety: string | null;
  beganAt: string;
  restoredAt: string | null;
  undoUntil: string | null;
}

export interface WebhooksTable {
  id: string;
  /** Null: of all tenants. */
  tenant: string | null;
  name: string;
  url: string;
  /** JSON array of event types; empty: all. */
  events: string;
  allowPrivate: Bit;
  sealedSecret: string;
  createdAt: string;
}

export type DeliveryState = 'pending' | 'delivered' | 'parked';

export interface DeliveriesTable {
  seq: Generated<number>;
  receiver: string;
  event: number;
  operation: string;
  state: DeliveryState;
  tries: number;
  /** When it is tried next; while it is tried, until when nobody else does. */
  due: string;
  firstTriedAt: string | null;
  /** Why the last try failed. */
  reason: string | null;
  endedAt: string | null;
}

export interface ServerChecksTable {
  server: string;
  /** The last check that was asked for: it alone records what it finds. */
  operation: string;
  /** When what a check found was last recorded. */
  checkedAt: string | null;
}

/** `noticed`: seen, and not for long enough to count. */
export type FindingState = 'noticed' | 'open' | 'resolved';
export type Severity = 'warning' | 'serious';

/** One thing that is wrong with a server, or a site on it, from when it was first seen until it is gone. */
export interface FindingsTable {
  id: string;
  tenant: string;
  server: string;
  /** Null: it is the server's own. */
  site: string | null;
  /** What is wrong with what: of one server never two that are not resolved. */
  key: string;
  /** As in a doctor's report. */
  name: string;
  severity: Severity;
  message: string;
  cause: string | null;
  next: string | null;
  state: FindingState;
  /** Checks in a row that saw it, and that did not. */
  seen: number;
  missed: number;
  /** So many checks in a row have to miss it before it is resolved. */
  clearsAfter: number;
  firstSeenAt: string;
  lastSeenAt: string;
  openedAt: string | null;
  resolvedAt: string | null;
}

/** What an upkeep of a site's database did. */
export interface OptimisationsTable {
  operation: string;
  site: string;
  /** So many were analysed, and so many of them rebuilt. */
  tables: number;
  rebuilt: number;
  reclaimedBytes: number;
  /** JSON array of `Skipped`. */
  skipped: string;
  at: string;
}

export type BatchKind = 'batch' | 'chain';
export type BatchState = 'running' | 'paused' | 'cancelling' | 'ended';
/** `partly`: some of its operations succeeded, and some did not. */
export type BatchOutcome = 'succeeded' | 'partly' | 'failed' | 'cancelled';
/** Who holds it up: an operator, its failures, its canaries, the approval that it waits for, or what became of its workflow. */
export type PausedBy = 'operator' | 'failures' | 'canaries' | 'approval' | 'terminated' | 'restored';

/** Many operations that were asked for as one. */
export interface BatchesTable {
  /** Also the id of the workflow that coordinates it. */
  id: string;
  kind: BatchKind;
  /** Of one name one is at work. */
  name: string;
  tenant: string;
  state: BatchState;
  outcome: BatchOutcome | null;
  /** JSON of `BatchRules`. */
  rules: string;
  /** Of its operations. */
  priority: Priority;
  /** Temporal's, for the coordinator and the operations. */
  taskQueue: string;
  cluster: string;
  namespace: string;
  /** From 1; each retry of what failed is a new one. */
  round: number;
  /** Before that nothing of it begins; null: at once. */
  startsAt: string | null;
  /** Its canaries are no reason to wait any more. */
  approved: Bit;
  /** Until then nothing follows the canaries, which went well. */
  canaryUntil: string | null;
  /** Of its failures so many were looked at by whoever let it go on. */
  forgiven: number;
  pausedBy: PausedBy | null;
  /** Why it is paused. */
  reason: string | null;
  /** How often it was paused otherwise than by an operator. */
  pauses: number;
  askedAt: string;
  endedAt: string | null;
}

/** What an operation is for: one of the many, or what follows from how those went. */
export type BatchPhase = 'item' | 'then' | 'catch' | 'finally';
/** `skipped`: it is not run any more, for what was before it failed, or its case did not come. */
export type BatchItemState = 'pending' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'skipped';

/** One operation of a batch. */
export interface BatchItemsTable {
  batch: string;
  phase: BatchPhase;
  /** From 1, in each phase. */
  ordinal: number;
  /** As in a file: `backup.create`. */
  verb: string;
  /** Sealed JSON, as the verb takes it. */
  input: string;
  /** What it is about, for people: a domain, or a server's name. */
  target: string;
  /** Where it works, as far as that was known when it was asked for. */
  server: string | null;
  /** The one of this round; its row may not be written yet. */
  operation: string | null;
  state: BatchItemState;
  failureType: string | null;
  reason: string | null;
  startedAt: string | null;
  endedAt: string | null;
}

export interface ApiTokensTable {
  id: string;
  tenant: string;
  name: string;
  /** `read`, `operate` or `admin`. */
  scope: string;
  /** Of the token, in hex. */
  sha256: string;
  createdAt: string;
  expiresAt: string | null;
  revokedAt: string | null;
  lastUsedAt: string | null;
}

export interface ApiRequestsTable {
  /** Id of an API token. */
  token: string;
  /** Of the Idempotency-Key, in hex. */
  keySha256: string;
  /** SHA-256 of the request, in hex. */
  fingerprint: string;
  operation: string;
  at: string;
}
