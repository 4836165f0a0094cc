import type { Migration } from '../migrations.js';

/** When each site's certificate is renewed. Those that are there already get their row from the first sweep. */
export const renewals: Migration = {
  name: 'renewals',
  statements: () => [
    // Null: issued before this was kept.
    `alter table certificates add column authority text`,
    `create table renewals (
      site text primary key references sites (id),
      certificate text not null references certificates (id),
      due text,
      held_until text,
      tries integer not null default 0,
      fallback integer not null default 0,
      failures integer not null default 0,
      failing_since text,
      failed_at text,
      failure_type text,
      reason text,
      window_start text,
      window_end text,
      explanation text,
      ask_at text not null,
      warn_at text)`,
    `create index renewals_due on renewals (due)`,
    `create index renewals_ask on renewals (ask_at)`,
    `create index renewals_warn on renewals (warn_at)`,
  ],
};
