import { z } from 'zod';
import { failure } from '../workflows/failures.js';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const tableText = z.strictObject({
  name: z.string(),
  rows: z.int().nonnegative(),
  /** Over what its rows hold; how, is the matter of each database. */
  digest: z.string(),
});

/** What a table held at the moment of the backup. */
export type Table = z.infer<typeof tableText>;

/** The parts of a backup, in their order in it. `programs`: of MySQL, triggers, routines and events; `keyring` is sealed to the recovery key. */
const PARTS = ['database', 'programs', 'keyring', 'settings'] as const;
export type PartName = (typeof PARTS)[number];

const partText = z.strictObject({ name: z.enum(PARTS), bytes: z.int().nonnegative(), sha256 });
export type Part = z.infer<typeof partText>;

const KINDS = ['sqlite', 'postgres', 'mysql'] as const;
export type DatabaseKind = (typeof KINDS)[number];

/** Says what is in a backup, and what came out of the database. */
export const manifestText = z.strictObject({
  madeAt: z.iso.datetime(),
  /** Which installation of CHOM; null: the database is none of CHOM's. */
  controller: z.string().nullable(),
  database: z.strictObject({
    kind: z.enum(KINDS),
    version: z.string(),
    /** Of PostgreSQL: the schema that its tables are in. */
    schema: z.string().optional(),
  }),
  tables: z.array(tableText),
  parts: z.array(partText),
});
export type Manifest = z.infer<typeof manifestText>;

/** Where the tables that there are differ from those that there should be, a sentence each. */
export function differences(wanted: readonly Table[], found: readonly Table[]): string[] {
  const there = new Map(found.map((table) => [table.name, table]));
  const said = wanted.flatMap(({ name, rows, digest }) => {
    const table = there.get(name);
    if (!table) return [`table ${name} is missing`];
    if (table.rows !== rows) return [`table ${name} has ${table.rows} rows instead of ${rows}`];
    return table.digest === digest ? [] : [`table ${name} holds other rows`];
  });
  const known = new Set(wanted.map(({ name }) => name));
  return [...said, ...found.flatMap(({ name }) => (known.has(name) ? [] : [`table ${name} is too many`]))];
}

/** @throws BackupDamaged naming the tables that differ */
export function refuseDifferences(wanted: readonly Table[], found: readonly Table[]): void {
  const said = differences(wanted, found);
  if (said.length === 0) return;
  throw failure('BackupDamaged', 'What came out of the backup is not what went in', {
    cause: `${said.slice(0, 5).join('; ')}${said.length > 5 ? `; and ${said.length - 5} more` : ''}`,
    next: 'chom backup database --test, which makes another one',
  });
}
