import type { Migration } from '../migrations.js';

/** Who may speak to the API for a tenant, and what was asked for under a key of theirs. */
export const apiTokens: Migration = {
  name: 'api-tokens',
  statements: () => [
    `create table api_tokens (
      id text primary key,
      tenant text not null references tenants (id),
      name text not null,
      scope text not null,
      sha256 text not null unique,
      created_at text not null,
      expires_at text,
      revoked_at text,
      last_used_at text)`,
    // A name is free again once its token was revoked.
    `create unique index api_tokens_live_names on api_tokens (tenant, name) where revoked_at is null`,

    // The first request with a key decides what the key stands for.
    `create table api_requests (
      token text not null,
      key_sha256 text not null,
      fingerprint text not null,
      operation text not null,
      at text not null,
      primary key (token, key_sha256))`,
    `create index api_requests_by_age on api_requests (at)`,
  ],
};
