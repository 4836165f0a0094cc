import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { hasTags } from '../inventory/tags.js';
import { failure } from '../workflows/failures.js';
import { SITE_TYPES } from '../workflows/plans.js';
import type { Selector } from './batch-schema.js';
import type { BatchVerb } from './batch-verbs.js';
import { parseServerName, parseTag } from './names.js';
import type { Chom } from './open.js';
import { quoted } from './text.js';

const SITE_STATES = ['active', 'suspended'] as const;
const SERVER_STATES = ['active', 'failed'] as const;

/** Of these not all that are in service are meant. */
const STATES_OF: Readonly<Record<string, readonly string[]>> = {
  'site.suspend': ['active'],
  'site.resume': ['suspended'],
};

/**
 * The domains, or servers' names, that a selector means now, in alphabetical order: of the tenant's alone.
 * @throws InvalidInput it names a type or state that there is not, or what is no tag; NotFound a server that there is not, or nothing at all
 */
export async function selected(
  { tenant, inventory: { db } }: Chom,
  name: string,
  verb: BatchVerb,
  selector: Selector,
): Promise<string[]> {
  const { type, state, server, tag } = selector;
  const wanted = tag === undefined ? [] : many(tag).map((one) => parseTag(one));
  const named = server === undefined ? null : many(server).map((one) => parseServerName(one));
  const found = named === null ? null : await Promise.all(named.map((one) => servers.byName(db, tenant, one)));
  if (verb.on === 'server') {
    if (type !== undefined) throw failure('InvalidInput', 'Servers have no type');
    const states = statesOf(state, SERVER_STATES, ['active']);
    const all = found ?? (await servers.list(db, { tenant }));
    return some(all.filter((one) => states.includes(one.status) && hasTags(one, wanted)).map((one) => one.name));
  }
  const types = type === undefined ? null : many(type);
  const strange = types?.find((one) => !(SITE_TYPES as readonly string[]).includes(one));
  if (strange !== undefined) {
    throw failure('InvalidInput', `${quoted(strange)} is no type of site`, {
      cause: `the types are ${SITE_TYPES.join(', ')}`,
    });
  }
  const states = statesOf(state, SITE_STATES, STATES_OF[name] ?? SITE_STATES);
  const all = (await sites.list(db, { tenant })).filter((one) => states.includes(one.status));
  const there = all.filter(
    (one) => hasTags(one, wanted) && (found === null || found.some(({ id }) => id === one.server)),
  );
  return some(there.filter((one) => types === null || types.includes(one.type)).map(({ domain }) => domain));
}

function many(text: string | string[]): string[] {
  return typeof text === 'string' ? [text] : text;
}

function statesOf(given: Selector['state'], known: readonly string[], usual: readonly string[]): readonly string[] {
  if (given === undefined) return usual;
  const states = many(given);
  const strange = states.find((one) => !known.includes(one));
  if (strange === undefined) return states;
  throw failure('InvalidInput', `${quoted(strange)} is no state to select by`, {
    cause: `there are ${known.join(', ')}`,
  });
}

function some(names: string[]): string[] {
  if (names.length > 0) return names.toSorted();
  throw failure('NotFound', 'It selects nothing', { next: 'chom site list, chom server list' });
}
