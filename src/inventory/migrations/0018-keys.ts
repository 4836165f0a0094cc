import type { Migration } from '../migrations.js';

/** What becomes of keys that are replaced, which keys each worker holds, and the next password and login of a repository. */
export const keys: Migration = {
  name: 'keys',
  statements: () => [
    `alter table key_ids add column replaced_at text`,
    `alter table key_ids add column retired_at text`,
    `alter table key_ids add column backed_up_at text`,
    `create table workers (
      identity text primary key,
      current text not null,
      keys text not null,
      seen_at text not null)`,
    `alter table repositories add column sealed_next_password text`,
    `alter table repositories add column sealed_next_login text`,
    `alter table repositories add column next_login_public text`,
    `alter table repositories add column sealed_old_password text`,
    `alter table repositories add column password_backed_up_at text`,
  ],
};
