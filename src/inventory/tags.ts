import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Trx } from './database.js';

/** A site or a server has so many at most. */
const MOST_TAGS = 50;

export interface TagChange {
  add?: readonly string[];
  remove?: readonly string[];
}

/**
 * Gives a site or server tags and takes others away; what it has, or has not, already is no error. Returns all that it has
 * then, in alphabetical order. @throws Conflict there would be more than 50
 */
export async function change(
  trx: Trx,
  of: 'sites' | 'servers',
  id: string,
  { add = [], remove = [] }: TagChange,
): Promise<string[]> {
  // Both tables have these columns alike.
  const table = of as 'sites';
  const row = trx.selectFrom(table).select('tags').where('id', '=', id).forUpdate();
  const held = JSON.parse((await row.executeTakeFirstOrThrow()).tags) as string[];
  const left = [...new Set([...held, ...add])].filter((tag) => !remove.includes(tag));
  if (left.length > MOST_TAGS) throw failure('Conflict', `There are ${MOST_TAGS} tags at most`);
  const tags = left.toSorted();
  await trx
    .updateTable(table)
    .set({ tags: JSON.stringify(tags), updatedAt: now() })
    .where('id', '=', id)
    .execute();
  return tags;
}

/** Whether it has them all. */
export function hasTags({ tags }: { tags: readonly string[] }, wanted: readonly string[]): boolean {
  return wanted.every((tag) => tags.includes(tag));
}
