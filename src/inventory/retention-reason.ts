/** Why a backup is kept. */
export type KeepReason =
  | { rule: 'being-made' }
  | { rule: 'needed'; operation: string }
  | { rule: 'future' }
  | { rule: 'young' }
  | { rule: 'asked'; days: number }
  | { rule: 'within'; days: number }
  | { rule: 'safety' }
  | { rule: 'daily' | 'weekly' | 'monthly'; bucket: string }
  | { rule: 'last-verified' }
  | { rule: 'newest' }
  | { rule: 'newest-partial' };

/** Why one is removed. */
export type RemovalReason =
  | { rule: 'spare' }
  | { rule: 'partial' }
  | { rule: 'failed' }
  | { rule: 'safety-over' }
  | { rule: 'begun' }
  | { rule: 'refuted' }
  | { rule: 'site-deleted'; deletedAt: string };

/** Whatever it is, so young it stays: nobody may have looked at it yet. */
export const YOUNG_HOURS = 24;
/** A backup that was made before a restore is what undoes it. */
export const SAFETY_DAYS = 14;
/** So long after a site was deleted its backups end. */
export const DELETED_SITE_DAYS = 30;

const WORDS = {
  'being-made': 'is being made',
  future: 'dated in the future',
  young: `younger than ${YOUNG_HOURS} hours`,
  safety: `made before a restore, kept for ${SAFETY_DAYS} days`,
  'last-verified': 'last verified',
  newest: 'newest of its kind',
  'newest-partial': 'not whole, and nothing newer is',
  spare: 'no day, week or month needs it',
  partial: 'partial, and stands for nothing',
  failed: 'failed',
  refuted: 'was found not to restore',
  begun: 'its removal was begun',
  'safety-over': `made before a restore, more than ${SAFETY_DAYS} days ago`,
};

/** As an operator reads it. */
export function describeReason(reason: KeepReason | RemovalReason): string {
  switch (reason.rule) {
    case 'needed':
      return `needed by ${reason.operation}`;
    case 'asked':
      return `asked to be kept for ${reason.days} days`;
    case 'within':
      return `of the last ${reason.days} days`;
    case 'daily':
    case 'weekly':
    case 'monthly':
      return `${reason.rule} ${reason.bucket}`;
    case 'site-deleted':
      return `site deleted on ${reason.deletedAt.slice(0, 10)}, more than ${DELETED_SITE_DAYS} days ago`;
    default:
      return WORDS[reason.rule];
  }
}
