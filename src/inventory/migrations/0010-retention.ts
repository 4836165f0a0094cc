import type { Migration } from '../migrations.js';

/** Which backups are kept, by tenant and by site; which are being removed; and which are at use. */
export const retention: Migration = {
  name: 'retention',
  statements: () => [
    `alter table tenants add column retention text not null default '{}'`,
    `alter table tenants add column timezone text not null default 'UTC'`,
    `alter table sites add column retention text not null default '{}'`,
    `alter table backups add column removed_by text`,
    `create index backups_removed on backups (removed_by)`,

    // While an operation of it has no outcome the backup stays.
    `create table backup_uses (
      backup text not null references backups (id),
      operation text not null,
      primary key (backup, operation))`,
    `create index backup_uses_of on backup_uses (operation)`,
  ],
};
