import { ApplicationFailure } from '@temporalio/common';
import { distance } from 'fastest-levenshtein';
import { failure, failureDetails } from '../workflows/failures.js';
import type { Session } from './cli.js';
import { liveNames, type Nameable } from './live-names.js';

const NOUNS: Readonly<Record<string, Nameable>> = {
  site: 'sites',
  server: 'servers',
  storage: 'storages',
  tenant: 'tenants',
  webhook: 'webhooks',
};

/** So many letters may be wrong: of a short name fewer, else everything is alike. */
const MOST_WRONG = 3;

/** The same failure, with the names that may have been meant where it is that there is none of that name. */
export async function withSuggestion(session: Pick<Session, 'environment'>, error: unknown): Promise<unknown> {
  if (!(error instanceof ApplicationFailure) || error.type !== 'NotFound') return error;
  const [, noun = '', typed = ''] = /^There is no (\w+) (\S+)$/.exec(error.message) ?? [];
  const of = NOUNS[noun];
  const details = failureDetails(error);
  if (!of || details.cause !== undefined) return error;
  const names = (await liveNames(session, of, {})).map(({ name }) => name);
  const alike = similar(typed, names);
  return alike.length === 0
    ? error
    : failure('NotFound', error.message, { cause: `Did you mean ${alike.join(' or ')}?`, ...details });
}

/** Up to three of the names, the most alike first. */
export function similar(typed: string, names: readonly string[]): string[] {
  const most = Math.min(MOST_WRONG, Math.floor(typed.length / 3));
  return names
    .map((name) => ({ name, wrong: name.startsWith(typed) ? 0 : distance(typed, name) }))
    .filter(({ wrong }) => wrong <= most)
    .toSorted((a, b) => a.wrong - b.wrong || a.name.localeCompare(b.name))
    .slice(0, 3)
    .map(({ name }) => name);
}
