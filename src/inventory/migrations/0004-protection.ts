import type { Migration } from '../migrations.js';

/** What is wanted of a server's firewall, updates and swap. */
export const protection: Migration = {
  name: 'protection',
  statements: () => ['alter table servers add column protection text'],
};
