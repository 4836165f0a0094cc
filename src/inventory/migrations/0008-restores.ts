import type { Migration } from '../migrations.js';

/** What was restored into which site, and until when that can be undone. */
export const restores: Migration = {
  name: 'restores',
  statements: () => [
    // Beside the status, which is what comes back when the operation ends.
    `alter table sites add column restoring text references operations (id)`,
    `create table restores (
      operation text primary key references operations (id),
      backup text not null references backups (id),
      site text not null references sites (id),
      files integer not null,
      database integer not null,
      path text,
      database_charset text,
      database_collation text,
      state text not null check (state in ('restoring', 'restored', 'undone', 'failed', 'ended')),
      safety text,
      began_at text not null,
      restored_at text,
      undo_until text,
      check (state <> 'restored' or (restored_at is not null and undo_until is not null)))`,
    `create index restores_site on restores (site, restored_at)`,
  ],
};
