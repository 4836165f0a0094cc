import type { Migration } from '../migrations.js';

/** That a backup was found not to restore. */
export const verification: Migration = {
  name: 'verification',
  statements: () => [
    'alter table backups add column verify_failed_at text',
    'alter table backups add column verify_failure text',
  ],
};
