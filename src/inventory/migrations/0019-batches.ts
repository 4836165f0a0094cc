import type { Migration } from '../migrations.js';

/** Many operations that are asked for as one: batches, and chains, which are batches of one at a time. */
export const batches: Migration = {
  name: 'batches',
  statements: () => [
    `create table batches (
      id text primary key,
      kind text not null,
      name text not null,
      tenant text not null,
      state text not null,
      outcome text,
      rules text not null,
      priority text not null,
      task_queue text not null,
      cluster text not null,
      namespace text not null,
      round integer not null,
      approved integer not null,
      starts_at text,
      canary_until text,
      forgiven integer not null,
      paused_by text,
      reason text,
      pauses integer not null,
      asked_at text not null,
      ended_at text)`,
    // Of one name one is at work.
    `create unique index batches_at_work on batches (tenant, name) where state <> 'ended'`,
    `create index batches_listed on batches (tenant, asked_at)`,

    `create table batch_items (
      batch text not null,
      phase text not null,
      ordinal integer not null,
      verb text not null,
      input text not null,
      target text not null,
      server text,
      operation text,
      state text not null,
      failure_type text,
      reason text,
      started_at text,
      ended_at text,
      primary key (batch, phase, ordinal))`,
    `create index batch_items_by_state on batch_items (batch, phase, state, ordinal)`,
    `create unique index batch_items_operation on batch_items (operation) where operation is not null`,
  ],
};
