import type { Migration } from '../migrations.js';

/** Where backups go, each site's repository there, the backups, and the snapshots that each consists of. */
export const backups: Migration = {
  name: 'backups',
  statements: ({ big }) => [
    `create table storages (
      id text primary key,
      tenant text references tenants (id),
      name text not null,
      kind text not null check (kind in ('sftp', 'rest', 's3', 'local')),
      url text not null,
      host_key text,
      host_key_fingerprint text,
      ca text,
      logins text not null check (logins in ('shared', 'per-site')),
      login_public text,
      sealed_login text,
      access text check (access in ('append-only', 'deletable')),
      probed_at text,
      maintain_server text references servers (id),
      maintain_path text,
      created_at text not null,
      updated_at text not null,
      check ((maintain_server is null) = (maintain_path is null)),
      check (kind <> 'sftp' or host_key is not null))`,
    // One name is one storage to whoever says it: a tenant's own, or everybody's.
    `create unique index storages_name on storages (coalesce(tenant, ''), name)`,

    `create table repositories (
      id text primary key,
      storage text not null references storages (id),
      site text references sites (id),
      url text not null,
      sealed_password text not null,
      login_public text,
      sealed_login text,
      restic_id text,
      escrowed_at text,
      initialised_at text,
      created_at text not null,
      check (initialised_at is null or escrowed_at is not null))`,
    // That of no site is the one by which CHOM tries the storage.
    `create unique index repositories_site on repositories (storage, coalesce(site, ''))`,
    `create index repositories_of_site on repositories (site)`,

    `create table backups (
      id text primary key,
      operation text not null unique,
      site text not null references sites (id),
      repository text not null references repositories (id),
      kind text not null check (kind in ('full', 'files', 'database')),
      tag text not null,
      state text not null check (state in ('creating', 'partial', 'completed', 'verified', 'failed', 'deleted')),
      started_at text not null,
      finished_at text,
      bytes ${big},
      new_bytes ${big},
      files ${big},
      manifest_sha256 text,
      retention_days integer,
      apart_seconds integer,
      verified_at text,
      reason text,
      check (state not in ('partial', 'completed', 'verified') or (finished_at is not null and manifest_sha256 is not null)),
      check (state <> 'verified' or verified_at is not null))`,
    `create index backups_site on backups (site, started_at)`,

    // restic's own ids, in full: a prefix may come to name two.
    `create table snapshots (
      id text primary key check (length(id) = 64),
      backup text not null references backups (id),
      role text not null check (role in ('files', 'database', 'manifest')),
      bytes ${big} not null,
      new_bytes ${big} not null,
      files ${big} not null,
      unique (backup, role))`,
  ],
};
