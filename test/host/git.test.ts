import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { fetchCommit, isPublicAddress, parseRemote, pinRemote } from '../../src/host/git.js';

describe('the address of a repository', () => {
  it.each([
    ['https://git.example.org/a/b.git', { scheme: 'https', host: 'git.example.org', port: 443 }],
    ['https://git.example.org:8443/a', { scheme: 'https', host: 'git.example.org', port: 8443 }],
    ['ssh://git@git.example.org:2222/a', { scheme: 'ssh', host: 'git.example.org', port: 2222 }],
    ['git@git.example.org:a/b.git', { scheme: 'ssh', host: 'git.example.org', port: 22 }],
    ['https://[2606:4700::1]/a', { scheme: 'https', host: '2606:4700::1', port: 443 }],
  ])('%s is taken apart', (url, expected) => {
    expect(parseRemote(url)).toMatchObject(expected);
  });

  it.each([
    'http://git.example.org/a',
    'file:///etc/passwd',
    'git://git.example.org/a',
    'ext::sh -c id',
    '/srv/chom/other',
    '../other',
    'https://user:secret@git.example.org/a',
    'https://token@git.example.org/a',
    'https://git.example.org',
    'ssh://-oProxyCommand=id/a',
    '',
  ])('%j is refused', (url) => {
    expect(() => parseRemote(url)).toThrow(expect.objectContaining({ type: 'InvalidInput' }) as Error);
  });

  it('does not show a password in the refusal', () => {
    expect(() => parseRemote('https://user:secret@git.example.org/a')).not.toThrow(/secret/);
  });
});

describe('an address', () => {
  it.each(['8.8.8.8', '1.1.1.1', '2606:4700::1111', '2a00:1450::1'])('%s is public', (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });

  it.each([
    ...['0.0.0.0', '10.1.2.3', '100.64.0.1', '127.0.0.1', '169.254.169.254', '172.31.255.255', '192.168.1.1'],
    ...['192.0.0.1', '198.18.0.1', '203.0.113.9', '224.0.0.1', '255.255.255.255', '::', '::1', '::ffff:10.0.0.1'],
    ...['64:ff9b::a00:1', 'fe80::1', 'fd00::1', 'ff02::1', '2001:db8::1', '2002:a00:1::1', '2001::1', 'nonsense', ''],
  ])('%s is not', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });
});

describe('what git may connect to', () => {
  const remote = parseRemote('https://git.example.org/a');

  it('is all that was looked up, where all of it is public', () => {
    expect(pinRemote(remote, '8.8.8.8\n2606:4700::1\n', false).addresses).toEqual(['8.8.8.8', '2606:4700::1']);
  });

  it('is nothing, where one address is not', () => {
    const pin = () => pinRemote(remote, '8.8.8.8\n169.254.169.254\n', false);
    expect(pin).toThrow(expect.objectContaining({ type: 'SourceRejected' }) as Error);
    expect(pinRemote(remote, '10.0.0.1\n', true).addresses).toEqual(['10.0.0.1']);
  });

  it('is tried again where nothing was found', () => {
    expect(() => pinRemote(remote, '', false)).toThrow(expect.objectContaining({ type: 'SourceUnavailable' }) as Error);
  });

  it('is pinned, so that a second look-up cannot change it', () => {
    const pinned = pinRemote(remote, '8.8.8.8\n2606:4700::1\n', false);
    const { script } = fetchCommit(pinned, 'main', 'dir', 1024 ** 3);
    expect(script.toString()).toContain(`'http.curloptResolve=git.example.org:443:8.8.8.8,[2606:4700::1]'`);
    expect(script.toString()).toContain('http.followRedirects=false');
    expect(execFileSync('dash', ['-n'], { input: script, encoding: 'utf8' })).toBe('');
  });
});
