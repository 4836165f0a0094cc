import type { Migration } from '../migrations.js';

/** What becomes of keys that are replaced, and which keys each worker holds. */
export const keys: Migration = {
  name: 'keys',
  statements: () => [
    `alter table key_ids add column replaced_at text`,
    `alter table key_ids add column retired_at text`,
    `alter table key_ids add column backed_up_at text`,
    `create table workers (
      identity text primary key,
      current text not null,
      keys text not null,
      seen_at text not null)`,
  ],
};
