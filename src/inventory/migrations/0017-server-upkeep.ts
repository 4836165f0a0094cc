import type { Migration } from '../migrations.js';

/** What checks of servers find, and what the upkeep of databases came to. */
export const serverUpkeep: Migration = {
  name: 'server-upkeep',
  statements: ({ big }) => [
    // One per server: the check that may record what it finds, and when one last did.
    `create table server_checks (
      server text primary key references servers (id),
      operation text not null,
      checked_at text)`,

    `create table findings (
      id text primary key,
      tenant text not null,
      server text not null references servers (id),
      site text,
      key text not null,
      name text not null,
      severity text not null,
      message text not null,
      cause text,
      next text,
      state text not null,
      seen integer not null,
      missed integer not null,
      clears_after integer not null,
      first_seen_at text not null,
      last_seen_at text not null,
      opened_at text,
      resolved_at text)`,
    `create unique index findings_one on findings (server, key) where state <> 'resolved'`,
    `create index findings_of on findings (server, state)`,

    `create table optimisations (
      operation text primary key references operations (id),
      site text not null references sites (id),
      tables integer not null,
      rebuilt integer not null,
      reclaimed_bytes ${big} not null,
      skipped text not null,
      at text not null)`,
    `create index optimisations_of on optimisations (site, at)`,
  ],
};
