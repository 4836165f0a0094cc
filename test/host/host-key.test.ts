import { describe, expect, it } from 'vitest';
import { describeHostKey, isPinnedKey, signaturesFor } from '../../src/host/host-key.js';

// Made by ssh-keygen (OpenSSH 9.2), fingerprint as it prints it.
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKxyqd4ROW5fiJgjvT9W92s8xW38MPwGdBJkyi2qtwZo';
const FINGERPRINT = 'SHA256:+SdoCtLNWQQWWhVOzJWBD2rYxsSI9+11N24i9FO8VAE';
const BLOB = Buffer.from(KEY.split(' ')[1] ?? '', 'base64');

describe('describeHostKey', () => {
  it('writes a key as known_hosts and ssh-keygen do', () => {
    expect(describeHostKey(BLOB)).toEqual({ key: KEY, fingerprint: FINGERPRINT });
  });
});

describe('isPinnedKey', () => {
  it('knows the pinned key by its text, with or without comment, and by its fingerprint', () => {
    expect(isPinnedKey(BLOB, KEY)).toBe(true);
    expect(isPinnedKey(BLOB, `${KEY} root@web1\n`)).toBe(true);
    expect(isPinnedKey(BLOB, FINGERPRINT)).toBe(true);
  });

  it('refuses a key that differs in any one bit', () => {
    for (let bit = 0; bit < BLOB.length * 8; bit++) {
      const other = Buffer.from(BLOB);
      other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      // A changed length field is no key at all; whatever is made of it is not the pinned one.
      expect(isPinnedKey(other, KEY) || isPinnedKey(other, FINGERPRINT)).toBe(false);
    }
  });

  it('refuses everything where nothing is pinned', () => {
    for (const pinned of ['', 'SHA256:', 'ssh-ed25519', KEY.slice(0, -2)])
      expect(isPinnedKey(BLOB, pinned)).toBe(false);
  });
});

describe('signaturesFor', () => {
  it('asks for the pinned type alone, and never for SHA-1', () => {
    expect(signaturesFor(KEY)).toEqual(['ssh-ed25519']);
    expect(signaturesFor('ssh-rsa AAAA')).toEqual(['rsa-sha2-512', 'rsa-sha2-256']);
    expect(signaturesFor(FINGERPRINT)[0]).toBe('ssh-ed25519');
    expect(signaturesFor(null)).not.toContain('ssh-rsa');
  });
});
