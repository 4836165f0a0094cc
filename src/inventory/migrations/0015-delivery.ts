import type { Migration } from '../migrations.js';

/** Who is told of events, and what each was told. */
export const delivery: Migration = {
  name: 'delivery',
  statements: ({ counter }) => [
    `create table webhooks (
      id text primary key,
      tenant text,
      name text not null,
      url text not null,
      events text not null,
      allow_private integer not null,
      sealed_secret text not null,
      created_at text not null)`,

    // To a webhook by its id, or to the worker's own `mail` and `command`.
    `create table deliveries (
      seq ${counter},
      receiver text not null,
      event bigint not null,
      operation text not null,
      state text not null,
      tries integer not null,
      due text not null,
      first_tried_at text,
      reason text,
      ended_at text,
      unique (receiver, event))`,
    `create index deliveries_due on deliveries (due) where state = 'pending'`,
    `create index deliveries_of on deliveries (receiver, operation, event)`,
  ],
};
