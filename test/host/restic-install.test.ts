import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import {
  askRestic,
  isRecentRestic,
  parseResticFacts,
  useDistributionRestic,
  usePinnedRestic,
} from '../../src/host/restic-install.js';

const pinned = usePinnedRestic({ file: '/var/lib/chom/staging/restic', sha256: 'ab'.repeat(32) });

describe('the restic of a server', () => {
  it.each([
    ['0.14.0', false],
    ['0.16.4', false],
    ['0.17.0', false],
    ['0.17.1', true],
    ['0.18', true],
    ['0.18.1', true],
    ['0.100.0', true],
    ['1.0.0', true],
    ['', false],
    [null, false],
  ])('%s will do: %s', (version, will) => {
    expect(isRecentRestic(version)).toBe(will);
  });

  it('is known by what the server says', () => {
    const said = 'architecture=amd64\ndistribution=0.14.0\nused=0.18.1\ntarget=/usr/local/lib/chom/restic-abab\n';
    expect(parseResticFacts(said)).toEqual({
      ...{ architecture: 'amd64', distribution: '0.14.0', used: '0.18.1' },
      target: '/usr/local/lib/chom/restic-abab',
    });
    expect(parseResticFacts('architecture=arm64\ntarget=\n')).toEqual({
      ...{ architecture: 'arm64', distribution: null, used: null, target: null },
    });
  });

  it('is put there by scripts of a shell', () => {
    const { check, act } = useDistributionRestic();
    for (const { script } of [askRestic(), check, act, pinned.check, pinned.act]) {
      expect(execFileSync('dash', ['-n'], { input: script, encoding: 'utf8' })).toBe('');
    }
  });
});
