import type { Migration } from '../migrations.js';

/** Databases of sites, secrets that an operation hands on, and where the mail of a server's sites goes. */
export const siteTypes: Migration = {
  name: 'site-types',
  statements: () => [
    `alter table servers add column smtp_relay text`,
    `alter table sites add column database_name text`,
    // No reference: written before the operation is asked for, as uploads are.
    `create table operation_secrets (
      operation text not null,
      name text not null,
      sealed text not null,
      created_at text not null,
      primary key (operation, name))`,
  ],
};
