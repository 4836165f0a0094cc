import { ApplicationFailure } from '@temporalio/common';
import type { NewItem } from '../inventory/batch-items.js';
import type { BatchPhase } from '../inventory/schema.js';
import { type BatchRules, batchRules, MOST_ITEMS } from '../workflows/batch-plan.js';
import { failure, failureDetails } from '../workflows/failures.js';
import { newBatch, newChain, type NewBatch, type NewChain, type Wanted } from './batch-schema.js';
import { type Expanded, expandEntry, rehearse } from './expand-batch.js';
import { parseDuration } from './global-options.js';
import type { Chom } from './open.js';

const CONCURRENCY = 10;

const HANDLERS = ['then', 'catch', 'finally'];

/** So many of what is wrong are told at once. */
const TOLD = 10;

/** Where in what was given something stands, as zod has it: `['operations', 3, 'verb']`. */
export type Path = readonly (string | number)[];

/** A batch as it will be written down. */
export interface PlannedBatch {
  rules: BatchRules;
  items: NewItem[];
}

interface Found extends NewItem, Expanded {
  path: Path;
}

/**
 * What is wrong with its form; unknown names among it. `where` says where a path stands, for people.
 * @throws InvalidInput naming each
 */
export function checkForm<Kind extends 'batch' | 'chain'>(
  kind: Kind,
  given: unknown,
  where: (path: Path) => string = describePath,
): Kind extends 'batch' ? NewBatch : NewChain {
  const parsed = (kind === 'batch' ? newBatch : newChain).safeParse(withLists(given));
  if (parsed.success) return parsed.data as Kind extends 'batch' ? NewBatch : NewChain;
  throw wrong(
    kind,
    parsed.error.issues.map(({ path, message }) => ({ path: path as Path, message })),
    where,
  );
}

/** What follows may be one operation. */
function withLists(given: unknown): unknown {
  if (typeof given !== 'object' || given === null) return given;
  const entries = Object.entries(given).map(([name, value]): [string, unknown] => {
    return HANDLERS.includes(name) && !Array.isArray(value) ? [name, [value]] : [name, value];
  });
  return Object.fromEntries(entries);
}

/**
 * All of a batch, its selectors expanded, checked as each verb checks it by hand: whatever can be known to be wrong now. What is
 * about something that the batch itself makes or changes first is checked for its form alone, and again when its turn comes.
 * @throws InvalidInput naming each operation that cannot be asked for
 */
export async function planBatch(
  chom: Chom,
  kind: 'batch' | 'chain',
  wanted: NewBatch | NewChain,
  where: (path: Path) => string = describePath,
): Promise<PlannedBatch> {
  const problems: Problem[] = [];
  const items: Found[] = [];
  const noting = async (path: Path, act: () => Promise<void>) => {
    await act().catch((error: unknown) => void problems.push({ path, message: reasonOf(error) }));
  };
  for (const [phase, list] of phasesOf(wanted)) {
    let ordinal = 0;
    for (const [index, one] of list.entries()) {
      const path = [phase === 'item' ? 'operations' : phase, index];
      await noting(path, async () => {
        for (const found of await expandEntry(chom, one)) {
          ordinal += 1;
          items.push({ ...found, phase, ordinal, path });
        }
      });
    }
  }
  if (items.length > MOST_ITEMS) {
    throw failure('InvalidInput', `A batch has ${MOST_ITEMS} operations at most, and these are ${items.length}`);
  }
  problems.push(...(kind === 'batch' ? twice(items) : []));
  const touched = new Set<string>();
  const ofItems = new Set(items.filter(({ phase }) => phase === 'item').map(({ target }) => target));
  for (const { phase, path, plan, target } of items) {
    const later = phase === 'item' ? kind === 'chain' && touched.has(target) : ofItems.has(target);
    touched.add(target);
    if (!later) await noting(path, async () => await rehearse(chom, plan));
  }
  if (problems.length > 0) throw wrong(kind, problems, where);
  const rules = kind === 'batch' ? rulesOf(wanted) : { ...NO_RULES, concurrency: 1 };
  return { rules, items: items.map(asItem) };
}

function asItem({ phase, ordinal, verb, input, target, server }: Found): NewItem {
  return { phase, ordinal, verb, input, target, server };
}

function phasesOf(wanted: NewBatch | NewChain): [BatchPhase, Wanted[]][] {
  const { operations } = wanted;
  return [
    ['item', operations],
    ...(['then', 'catch', 'finally'] as const).map((phase): [BatchPhase, Wanted[]] => [phase, wanted[phase] ?? []]),
  ];
}

function twice(items: readonly Found[]): Problem[] {
  const seen = new Set<string>();
  return items.flatMap(({ phase, path, verb, target }) => {
    const key = `${phase} ${verb} ${target}`;
    if (!seen.has(key)) {
      seen.add(key);
      return [];
    }
    return phase === 'item' ? [{ path, message: `${verb} of ${target} is there twice` }] : [];
  });
}

const NO_RULES: BatchRules = { concurrency: CONCURRENCY, perServer: null, canary: null, failures: null };

/** @throws InvalidInput a wait without canaries */
function rulesOf(wanted: NewBatch | NewChain): BatchRules {
  const { concurrency = CONCURRENCY, perServer = null, canary, wait, failureThreshold: most } = wanted as NewBatch;
  if (wait !== undefined && canary === undefined) {
    throw failure('InvalidInput', 'There is nothing to wait for', {
      cause: 'wait is for after the canaries: add canary',
    });
  }
  return batchRules.parse({
    ...{ concurrency, perServer },
    canary: canary === undefined ? null : { first: canary, waitMs: waitOf(wait ?? 'approve') },
    failures:
      most === undefined ? null : { most: Number.parseInt(String(most), 10), percent: typeof most === 'string' },
  });
}

/** Milliseconds; null: until somebody approves. */
function waitOf(text: string): number | null {
  if (text === 'approve') return null;
  return parseDuration(text);
}

interface Problem {
  path: Path;
  message: string;
}

/** All that is wrong, in one failure; nothing was asked for. */
function wrong(kind: string, problems: readonly Problem[], where: (path: Path) => string) {
  const told = problems.slice(0, TOLD).map(({ path, message }) => `${where(path)}: ${message}`);
  const more = problems.length > TOLD ? [`and ${problems.length - TOLD} more`] : [];
  return failure(
    'InvalidInput',
    `The ${kind} is wrong, and nothing of it was asked for: ${[...told, ...more].join('; ')}`,
    {
      next: `correct it and run it again; chom ${kind} run --help shows an example`,
    },
  );
}

/** `operation 4`, `then`, `concurrency`. */
function describePath([first, second]: Path): string {
  const entry = typeof second === 'number' ? ` ${second + 1}` : '';
  return `${first === 'operations' ? 'operation' : String(first ?? 'it')}${entry}`;
}

/** Types of failures that say nothing of what was given. */
const AWAY: readonly unknown[] = ['InventoryUnavailable', 'TemporalUnavailable'];

function reasonOf(error: unknown): string {
  if (!(error instanceof ApplicationFailure) || AWAY.includes(error.type)) throw error;
  const { cause } = failureDetails(error);
  return cause === undefined ? error.message : `${error.message} (${cause})`;
}
