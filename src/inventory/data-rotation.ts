import type { Repository } from './repositories.js';

/** One of so many equal parts of a repository's data, from 1 on. */
export interface DataPart {
  part: number;
  parts: number;
}

const DAY_MS = 24 * 3_600_000;
/** Within so many days all of it is to be read. */
const ROUND_DAYS = 30;
/** Of a repository that was never read before nobody knows how often it is: weekly, then. Read daily it is once around in four days. */
const FIRST_PARTS = 4;

/**
 * Which part of the data is read next. A round is finished in as many parts as it was begun with; the next one has as many as,
 * at the pace of now, take a month. `now` in milliseconds since the epoch.
 */
export function nextPart(
  { dataPart, dataParts, dataReadAt }: Pick<Repository, 'dataPart' | 'dataParts' | 'dataReadAt'>,
  now: number,
): DataPart {
  if (dataPart === null || dataParts === null || dataReadAt === null) return { part: 1, parts: FIRST_PARTS };
  if (dataPart < dataParts) return { part: dataPart + 1, parts: dataParts };
  // A clock that was set back makes no day of less than none.
  const days = Math.max(1, (now - Date.parse(dataReadAt)) / DAY_MS);
  return { part: 1, parts: Math.max(1, Math.round(ROUND_DAYS / days)) };
}
