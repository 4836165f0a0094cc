import type { Migration } from '../migrations.js';

/** How often what an operation owes was tried. */
export const tries: Migration = {
  name: 'tries',
  statements: () => ['alter table obligations add column tries integer not null default 0'],
};
