/**
 * What stands in the place of a payload that could not be opened: not sealed at all, or with a key that is not held.
 * Decoding never throws in a worker, because a workflow task that cannot be decoded is retried for ever and blocks its
 * workflow; instead the value becomes this one, which no schema accepts.
 */
export interface Unreadable {
  readonly chomUnreadable: string;
}

export function unreadable(reason: string): Unreadable {
  return { chomUnreadable: reason };
}

export function isUnreadable(value: unknown): value is Unreadable {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, 'chomUnreadable');
}
