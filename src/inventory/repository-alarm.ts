import { type BackupRecord, SAFETY_TAG } from './retention.js';

/** A backup of one repository and its snapshots, as CHOM recorded them; deleted ones too. */
export interface RecordedBackup extends BackupRecord {
  operation: string;
  /** What was read for it; null where that is not known. */
  bytes: number | null;
  /** restic's full ids. */
  snapshots: readonly string[];
}

/** A snapshot as it lies in the repository. Whoever has broken into the host may have written all of it. */
export interface FoundSnapshot {
  /** restic's full id. */
  id: string;
  /** By the clock of whoever made it. */
  time: string;
  /** The operation that its tags name. */
  operation: string | null;
}

/** Something in a repository that is not as CHOM left it. */
export interface Finding {
  what: 'missing' | 'future' | 'collapse' | 'foreign' | 'unrecorded' | 'left-over';
  /** Nothing is to be forgotten or pruned until somebody has looked: the old backups may be the only good ones. */
  stops: boolean;
  /** Of snapshots, in full; of backups where these are what is odd. */
  ids: string[];
  message: string;
}

/** A host's clock may be so wrong, in milliseconds. */
const SKEW_MILLISECONDS = 60 * 60_000;
/** Three attempts, three snapshots each: so many an operation may have made and not recorded, for its worker died. */
const MOST_UNRECORDED = 9;
/** The newest backup is compared with the median of so many before it, so that a site may shrink for good. */
const COMPARED = 7;
/** Small sites change by half without anybody's harm. */
const LEAST_LOSS_BYTES = 1_000_000;

/**
 * What speaks against removing anything from a repository, and what else is odd there; what stops comes first; pure. A
 * storage that is append-only keeps a broken-into host from deleting backups, not from adding some, or from backing up an
 * emptied site until the good ones are gone by the policy
 * (https://restic.readthedocs.io/en/stable/060_forget.html#security-considerations-in-append-only-mode, 2026-11).
 * Snapshots that CHOM did not make, whatever date they bear, are told of and never counted: `keep` knows records alone, and
 * restic forgets full ids. So they hold back nothing either: who plants some would else have all backups pile up.
 * `now`: milliseconds since the epoch. `spare`: ids of backups that go anyway; that one of them is gone already is an
 * interrupted cleaning.
 */
export function alarm(
  records: readonly RecordedBackup[],
  found: readonly FoundSnapshot[],
  { now, spare }: { now: number; spare: ReadonlySet<string> },
): Finding[] {
  const owners = new Map(records.flatMap((record) => record.snapshots.map((id) => [id, record] as const)));
  const { foreign, unrecorded } = strangers(
    records,
    found.filter(({ id }) => !owners.has(id)),
  );
  const leftOver = found.filter(({ id }) => owners.get(id)?.state === 'deleted');
  const there = new Set(found.map(({ id }) => id));
  const isLate = (time: string) => !(Date.parse(time) <= now + SKEW_MILLISECONDS);
  const held = records.filter(({ state }) => state !== 'deleted');
  const good = held.filter(({ state, startedAt }) => {
    return (state === 'completed' || state === 'verified') && !isLate(startedAt);
  });
  const findings = [
    ...tell('missing', missing(held, there, spare), 'Backups that are no longer whole in the repository', true),
    ...tell(
      'future',
      found.filter(({ time }) => isLate(time)),
      'Snapshots dated in the future',
      false,
    ),
    ...tell(
      'future',
      held.filter((one) => isLate(one.startedAt)),
      'Backups dated in the future',
      true,
    ),
    ...(['full', 'files', 'database'] as const).flatMap((kind) => collapse(good.filter((one) => one.kind === kind))),
    ...tell('foreign', foreign, 'Snapshots that CHOM did not make', false),
    ...tell('unrecorded', unrecorded, 'Snapshots that operations made and did not record', false),
    ...tell('left-over', leftOver, 'Snapshots of backups that were deleted', false),
  ];
  return findings.toSorted((a, b) => Number(b.stops) - Number(a.stops));
}

/**
 * What of a backup lies in the repository: the snapshots that were recorded, and as far as it can have made them those that
 * its operation did not live to record. `records`: all of that repository, to whom what they recorded belongs.
 */
export function ownSnapshots(
  record: RecordedBackup,
  records: readonly RecordedBackup[],
  found: readonly FoundSnapshot[],
): string[] {
  const owned = new Set(records.flatMap(({ snapshots }) => snapshots));
  const recorded = found.filter(({ id }) => record.snapshots.includes(id));
  const { unrecorded } = strangers(
    [record],
    found.filter(({ id }) => !owned.has(id)),
  );
  return [...recorded, ...unrecorded].map(({ id }) => id);
}

/** Those that nobody recorded: named by an operation of ours, as far as it can have made them, or by none. */
function strangers(records: readonly RecordedBackup[], snapshots: readonly FoundSnapshot[]) {
  const left = new Map(records.map(({ operation }) => [operation, MOST_UNRECORDED]));
  const [foreign, unrecorded]: [FoundSnapshot[], FoundSnapshot[]] = [[], []];
  for (const one of snapshots) {
    const allowed = one.operation === null ? 0 : (left.get(one.operation) ?? 0);
    if (one.operation !== null) left.set(one.operation, allowed - 1);
    (allowed > 0 ? unrecorded : foreign).push(one);
  }
  return { foreign, unrecorded };
}

function missing(
  held: readonly RecordedBackup[],
  there: ReadonlySet<string>,
  spare: ReadonlySet<string>,
): RecordedBackup[] {
  return held.filter(({ id, state, snapshots }) => {
    const counted = state === 'partial' || state === 'completed' || state === 'verified';
    return counted && !spare.has(id) && (snapshots.length === 0 || !snapshots.every((one) => there.has(one)));
  });
}

/** The newest of a kind is less than half of what those before it were. */
function collapse(ofKind: readonly RecordedBackup[]): Finding[] {
  const sized = ofKind
    .flatMap(({ id, tag, startedAt, bytes }) =>
      bytes === null || tag === SAFETY_TAG ? [] : [{ id, startedAt, bytes }],
    )
    .toSorted((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt));
  const [newest, ...before] = sized.slice(0, 1 + COMPARED);
  const sizes = before.map(({ bytes }) => bytes).toSorted((a, b) => a - b);
  const median = sizes[Math.floor(sizes.length / 2)];
  if (!newest || median === undefined) return [];
  if (newest.bytes * 2 >= median || median - newest.bytes < LEAST_LOSS_BYTES) return [];
  const message = `Backup ${newest.id} has ${newest.bytes} bytes, those before it had ${median}`;
  return [{ what: 'collapse', stops: true, ids: [newest.id], message }];
}

function tell(what: Finding['what'], those: readonly { id: string }[], words: string, stops: boolean): Finding[] {
  if (those.length === 0) return [];
  const ids = those.map(({ id }) => id);
  const more = ids.length > 5 ? ` and ${ids.length - 5} more` : '';
  const named = ids.slice(0, 5).map((id) => (/^[0-9a-f]{64}$/.test(id) ? id.slice(0, 8) : id));
  return [{ what, stops, ids, message: `${words}: ${named.join(', ')}${more}` }];
}
