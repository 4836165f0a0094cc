import type { Migration } from '../migrations.js';

/** Failed operations that nobody wants to be shown any more. */
export const forgotten: Migration = {
  name: 'forgotten',
  statements: () => [`alter table operations add column forgotten_at text`],
};
