import type { Migration } from '../migrations.js';

/** That a site is suspended, and which operation deletes it. */
export const siteLife: Migration = {
  name: 'site-life',
  statements: () => [
    // Beside the status, like `restoring`: what they cover comes back when they end.
    `alter table sites add column suspended_at text`,
    `alter table sites add column suspended_reason text`,
    `alter table sites add column deleted_by text references operations (id)`,
  ],
};
