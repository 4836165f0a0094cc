import type { Migration } from '../migrations.js';

/**
 * Whether schedules back a site up and try its backups out, and where these go unless that follows from what there is; when an
 * operation may begin, and whose workers take it.
 */
export const planned: Migration = {
  name: 'planned',
  statements: () => [
    `alter table sites add column scheduled_backups integer not null default 1`,
    `alter table sites add column backup_storage text references storages (id) on delete set null`,
    `alter table operations add column starts_at text`,
    `alter table operations add column task_queue text`,
  ],
};
