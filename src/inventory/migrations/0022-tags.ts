import type { Migration } from '../migrations.js';

/** Words of the operator's own, by which sites and servers are selected: a JSON array. */
export const tags: Migration = {
  name: 'tags',
  statements: () => ['sites', 'servers'].map((of) => `alter table ${of} add column tags text not null default '[]'`),
};
