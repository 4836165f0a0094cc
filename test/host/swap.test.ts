import { describe, expect, it } from 'vitest';
import { needsSwap, parseSwap } from '../../src/host/swap.js';
import { parseUpdates } from '../../src/host/updates.js';

const small = 'memory=964\ncontainer=none\nfree=20000\n';

describe('a swap file', () => {
  it.each([
    ['is for a server with less than 2 GB of memory and none', small, { needed: true, obstacle: null }],
    ['is not for a larger one', small.replace('964', '2048'), { needed: false, obstacle: null }],
    ['is not where there is swap', `${small}swap=/dev/vda2\n`, { needed: false, obstacle: null }],
    ['is there once', `${small}swap=/var/lib/chom/swap\nlasts=yes\n`, { needed: false, obstacle: null }],
    [
      'is not done before the next boot has it too',
      `${small}swap=/var/lib/chom/swap\n`,
      { needed: true, obstacle: null },
    ],
    [
      'is impossible in a container',
      small.replace('none', 'lxc'),
      { needed: true, obstacle: expect.stringContaining('lxc') },
    ],
    [
      'is impossible on a small disk',
      small.replace('20000', '2000'),
      { needed: true, obstacle: expect.stringContaining('2000 MiB') },
    ],
  ])('%s', (_, said, wanted) => {
    expect(needsSwap(parseSwap(said))).toEqual(wanted);
  });
});

it('how a server updates itself is read', () => {
  expect(parseUpdates('reboot=true\nevery=1\nidle=apt-daily-upgrade.timer\n')).toEqual({
    on: true,
    rebooted: true,
    idle: ['apt-daily-upgrade.timer'],
  });
  expect(parseUpdates('every=\n')).toEqual({ on: false, rebooted: false, idle: [] });
});
