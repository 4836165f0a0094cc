import type { Migration } from '../migrations.js';

/** Whether schedules back a site up and try its backups out, and where these go unless that follows from what there is. */
export const schedules: Migration = {
  name: 'schedules',
  statements: () => [
    `alter table sites add column scheduled_backups integer not null default 1`,
    `alter table sites add column backup_storage text references storages (id) on delete set null`,
  ],
};
