import type { Migration } from '../migrations.js';

/** By what CHOM's own machine gets into a storage whose files no enrolled server keeps, and how far data was read. */
export const maintenance: Migration = {
  name: 'maintenance',
  statements: () => [
    'alter table storages add column maintain_url text',
    'alter table storages add column maintain_login_public text',
    'alter table storages add column maintain_sealed_login text',
    'alter table repositories add column data_part integer',
    'alter table repositories add column data_parts integer',
    'alter table repositories add column data_read_at text',
  ],
};
