import type { Migration } from '../migrations.js';

/** Since when a credential lies in a backup of CHOM's own data. */
export const rotation: Migration = {
  name: 'rotation',
  statements: () => [`alter table credentials add column backed_up_at text`],
};
