import type { Migration } from '../migrations.js';

/** Which machine a server is, so that none is enrolled under two names. */
export const machine: Migration = {
  name: 'machine',
  statements: () => [
    'alter table servers add column machine text',
    'create index servers_host_key on servers (host_key_fingerprint)',
  ],
};
