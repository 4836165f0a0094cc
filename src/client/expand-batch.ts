import { ApplicationFailure } from '@temporalio/common';
import { z } from 'zod';
import type { NewItem } from '../inventory/batch-items.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import type { Wanted } from './batch-schema.js';
import { selected } from './batch-selection.js';
import { batchVerb, type BatchVerb, VERB_NAMES } from './batch-verbs.js';
import { parseDomain } from './domain.js';
import { parseServerName } from './names.js';
import type { Chom } from './open.js';
import { quoted } from './text.js';

/** One operation that an entry means. */
export interface Expanded extends Omit<NewItem, 'phase' | 'ordinal'> {
  plan: { verb: BatchVerb; target: string; options: object };
}

/** One entry, as the operations that it means. @throws InvalidInput; NotFound */
export async function expandEntry(chom: Chom, one: Wanted): Promise<Expanded[]> {
  const verb = batchVerb(one.verb);
  if (!verb) {
    throw failure('InvalidInput', `${quoted(one.verb)} is nothing that a batch does`, {
      cause: `it does ${VERB_NAMES.join(', ')}`,
    });
  }
  const own = verb.on === 'new site' && one.server !== undefined ? { server: one.server } : {};
  const options = parseOptions(verb, { ...one.options, ...own });
  const found: Expanded[] = [];
  for (const named of await targetsOf(chom, one, verb)) {
    const target = verb.on === 'server' ? parseServerName(named) : parseDomain(named);
    verb.check(target, options);
    const server = await serverOf(chom, verb, target, options);
    const input = { target, options };
    found.push({ verb: one.verb, input, target, server, plan: { verb, ...input } });
  }
  return found;
}

function parseOptions(verb: BatchVerb, given: unknown): object {
  try {
    return verb.parse(given);
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    const issues = error.issues.map(({ path, message }) => [path.join('.'), message].filter(Boolean).join(': '));
    throw failure('InvalidInput', issues.join('; '));
  }
}

async function targetsOf(chom: Chom, one: Wanted, verb: BatchVerb): Promise<string[]> {
  const { site, server, select } = one;
  const direct = verb.on === 'server' ? server : site;
  const [what, other] = verb.on === 'server' ? ['server', site] : ['site', verb.on === 'site' ? server : undefined];
  if (other !== undefined) {
    throw failure('InvalidInput', `${one.verb} is about a ${what}`, {
      cause: verb.on === 'server' ? 'leave site out' : 'to say on which server: select',
    });
  }
  if (select !== undefined && verb.on === 'new site') throw failure('InvalidInput', `${one.verb} selects nothing`);
  if ((direct === undefined) === (select === undefined)) {
    throw failure(
      'InvalidInput',
      `${one.verb} needs ${verb.on === 'new site' ? 'site' : `${what} or select, and one of them`}`,
    );
  }
  return select === undefined ? [direct ?? ''] : await selected(chom, one.verb, verb, select);
}

/** Where it will work, as far as that is known; null where the batch makes that site first, or there is none. */
async function serverOf(chom: Chom, verb: BatchVerb, target: string, options: object): Promise<string | null> {
  const { tenant, inventory } = chom;
  try {
    if (verb.on === 'site') return (await sites.byDomain(inventory.db, target, { tenant })).server;
    const name = verb.on === 'server' ? target : String(Reflect.get(options, 'server'));
    return (await servers.byName(inventory.db, tenant, name)).id;
  } catch (error) {
    if (error instanceof ApplicationFailure && error.type === 'NotFound') return null;
    throw error;
  }
}

/** Checks it as its verb does by hand, and asks for nothing. @throws as that verb */
export async function rehearse(chom: Chom, { verb, target, options }: Expanded['plan']): Promise<void> {
  await verb.ask({ ...chom, rehearsal: true }, { target, options, operation: 'rehearsal' });
}
