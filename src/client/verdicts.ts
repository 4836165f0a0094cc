import type { BackupRecord, Verdict } from '../inventory/retention.js';
import { describeReason } from '../inventory/retention-reason.js';
import type { VerdictDocument } from './documents/backup.js';
import { age, size, table } from './text.js';

/** A backup and what was read for it, in bytes; null where that is not known. */
export type SizedBackup = BackupRecord & { bytes: number | null };

/** What cleaning would do, or did, as a person reads it. `now` in milliseconds since the epoch. */
export function verdictTable(verdicts: readonly Verdict<SizedBackup>[], now: number): string {
  return table(
    ['BACKUP', 'AGE', 'TYPE', 'SIZE', 'STATE', 'VERDICT', 'REASONS'],
    verdicts.map(({ backup, keep, reasons }) => [
      backup.id,
      age(now - Date.parse(backup.startedAt)),
      backup.kind,
      backup.bytes === null ? '' : size(backup.bytes),
      backup.state,
      keep ? 'keep' : 'remove',
      reasons.map(describeReason).join(', '),
    ]),
  );
}

/** The same as programs read it: rules to go by, and the words. */
export function verdictDocument({ backup, keep, reasons }: Verdict<SizedBackup>): VerdictDocument {
  const { id, kind, bytes, state, startedAt } = backup;
  const why = reasons.map((reason) => ({ ...reason, text: describeReason(reason) }));
  return { id, kind, bytes, state, startedAt, verdict: keep ? 'keep' : 'remove', reasons: why };
}
