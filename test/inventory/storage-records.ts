import type { NewStorage } from '../../src/inventory/storages.js';

/** An SFTP storage with one login for all sites. */
export function sftpStorage(id: string, name: string, over: Partial<NewStorage> = {}): NewStorage {
  return {
    ...{ id, name, tenant: null, kind: 'sftp', url: 'sftp://backup@198.18.0.9:22//data', logins: 'shared' },
    hostKey: { hostKey: 'ssh-ed25519 AAAA', fingerprint: 'SHA256:one' },
    login: { kind: 'sftp', privateKey: 'open sesame', public: 'ssh-ed25519 AAAA chom' },
    ...over,
  };
}

/** A REST server with a login for each site. */
export function restStorage(id: string, name: string, over: Partial<NewStorage> = {}): NewStorage {
  return {
    ...{ id, name, tenant: null, kind: 'rest', url: 'rest:https://store.example', logins: 'per-site' },
    ...over,
  };
}
