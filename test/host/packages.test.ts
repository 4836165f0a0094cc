import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { installPackages, optionalPackages, wantedPackages } from '../../src/host/packages.js';

describe('the packages of a server', () => {
  it.each([
    ['nothing that was never asked for, but logrotate', {}, ['logrotate']],
    ['what each of them needs', { firewall: true, updates: true, logrotate: true }, null],
    ['none of what is not wanted', { firewall: false, updates: false, logrotate: false }, []],
  ])('are %s', (_, wanted, more) => {
    expect(optionalPackages(wanted)).toEqual(more ?? ['nftables', 'unattended-upgrades', 'logrotate']);
    const all = wantedPackages({ php: '8.4', more: optionalPackages(wanted) });
    expect(all.includes('logrotate')).toBe(more?.length !== 0);
  });

  it('are installed by scripts to the shell of a host', () => {
    const { check, act } = installPackages({ php: '8.4', more: [] });
    for (const { script } of [check, act]) {
      expect(execFileSync('dash', ['-n'], { input: script, encoding: 'utf8' })).toBe('');
    }
  });
});
