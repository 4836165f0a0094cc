import type { Migration } from '../migrations.js';

/** Waiting in line: who waits in which order, who was served last, and the epochs of sites and servers. */
export const line: Migration = {
  name: 'line',
  statements: () => [
    `alter table places add column tenant text not null default 'default'`,
    `alter table places add column priority text not null default 'default' check (priority in ('high', 'default', 'low'))`,
    `alter table places add column turn integer not null default 0`,
    `alter table places add column acknowledged integer not null default 1 check (acknowledged in (0, 1))`,

    `create table turns (
      server text not null,
      tenant text not null,
      served integer not null,
      primary key (server, tenant))`,

    `create table epochs (
      scope text primary key,
      epoch integer not null)`,
    // Until now every claim on a host was made at epoch 1.
    `insert into epochs (scope, epoch) select 'site/' || id, 1 from sites`,
    `insert into epochs (scope, epoch) select 'server/' || id, 1 from servers`,

    `alter table servers add column at_once integer not null default 4`,
    `alter table undos add column label text not null default ''`,
  ],
};
