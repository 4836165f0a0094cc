import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Lab, type LabHost, startLab } from '../../lab/index.js';
import { EXIT } from '../../src/host/exit-codes.js';
import { sh } from '../../src/host/shell.js';
import { stateDirectories } from '../../src/host/state.js';
import { askSwap, makeSwap, needsSwap, parseSwap, removeSwap } from '../../src/host/swap.js';
import { ask, make, run } from './on-host.js';

/**
 * The hosts of a lab are containers: the kernel gives their files to nobody as swap, and their systemd starts no swap
 * unit. So `swapon` is a stand-in that asks of the file what the kernel asks; all else is the real thing.
 */
const MEBIBYTES = 24;
const FILE = '/var/lib/chom/swap';
const SWAPON = `#!/bin/sh
[ "$(blkid -p -s TYPE -o value "$1")" = swap ] || { echo "swapon: $1: read swap header failed" >&2; exit 255; }
[ $(($(stat -c %b "$1") * 512)) -ge "$(stat -c %s "$1")" ] || { echo "swapon: $1: it appears to have holes" >&2; exit 255; }
echo "$1 file $(($(stat -c %s "$1") / 1024 - 4)) 0 -2" >>/run/swaps
`;
const SWAPOFF = `#!/bin/sh
grep -v "^$1 " /run/swaps >/run/swaps.new
cat /run/swaps.new >/run/swaps
`;

let lab: Lab;
let host: LabHost;
beforeAll(async () => {
  lab = await startLab({ hosts: [{ name: 'small' }] });
  host = lab.host('small');
  await make(host, stateDirectories());
});
afterAll(async () => await lab?.down());

const program = (name: string, text: string) =>
  sh`printf %s ${text} >${`/usr/local/sbin/${name}`} && chmod 755 ${`/usr/local/sbin/${name}`}`;
const facts = async () => parseSwap(await ask(host, askSwap()));
/** What a boot would find, and what is in use now. */
const outcome = async () =>
  await ask(
    host,
    sh`stat -c '%a %U %s' ${FILE}; blkid -p -s TYPE -o value ${FILE}
[ $(($(stat -c %b ${FILE}) * 512)) -ge "$(stat -c %s ${FILE})" ] && echo whole
systemctl is-enabled var-lib-chom-swap.swap; systemctl cat var-lib-chom-swap.swap | grep What=
grep -c ${`^${FILE} `} /proc/swaps`,
  );
const GOOD = ['600 root', `${MEBIBYTES * 1024 * 1024}\nswap\nwhole\nenabled\nWhat=${FILE}\n1\n`].join(' ');

describe('a swap file', () => {
  beforeEach(async () => {
    await ask(
      host,
      sh`grep -q ' /proc/swaps ' /proc/mounts || { : >/run/swaps && mount --bind /run/swaps /proc/swaps; }
${program('swapon', SWAPON)}
${program('swapoff', SWAPOFF)}
echo 'Filename Type Size Used Priority' >/run/swaps`,
    );
    await ask(host, removeSwap().act);
  });

  test('is whole, root’s alone, and comes with each boot; making it again changes nothing', async () => {
    expect(await make(host, makeSwap(MEBIBYTES))).toBe('made');
    expect(await outcome()).toBe(GOOD);
    expect(await facts()).toMatchObject({ on: true, lasts: true });
    const inode = await ask(host, sh`stat -c '%i %Y' ${FILE}`);
    expect(await make(host, makeSwap(MEBIBYTES))).toBe('already');
    await ask(host, makeSwap(MEBIBYTES).act);
    expect(await ask(host, sh`stat -c '%i %Y' ${FILE}`)).toBe(inode);
    expect(await make(host, removeSwap())).toBe('made');
    expect(await facts()).toMatchObject({ on: false, lasts: false });
    expect(
      (await run(host, sh`ls ${FILE} /etc/systemd/system/*.swap /etc/systemd/system/swap.target.wants/*`)).exit,
    ).not.toBe(0);
  });

  // The last words of the program's arguments say at which of its calls.
  test.each([
    ['half of the file is written', 'dd', '*', 'head -c 9000000 /dev/zero >/var/lib/chom/swap'],
    ['the file is written', 'mkswap', '*', ':'],
    ['it is formatted', 'mkswap', '*', '/usr/sbin/mkswap /var/lib/chom/swap'],
    ['it is in use', 'systemctl', 'daemon-reload', ':'],
    ['its unit is known', 'systemctl', '*enable*', ':'],
    ['its unit is enabled', 'systemctl', '*enable*', '/usr/bin/systemctl -q enable var-lib-chom-swap.swap'],
  ])('is the same at the second go, where the first died when %s', async (_, name, words, last) => {
    const dying = `#!/bin/sh
case "$*" in
  ${words}) rm /usr/local/sbin/${name}; ${last}; /usr/bin/systemctl kill -s KILL swapper.service; sleep 60 ;;
esac
exec $(PATH=/usr/sbin:/usr/bin command -v ${name}) "$@"
`;
    await ask(host, program(name, dying));
    const { script } = makeSwap(MEBIBYTES).act;
    await ask(host, sh`printf %s ${script} >/root/act`);
    const died = await run(host, sh`systemd-run --quiet --wait --collect --unit=swapper sh /root/act`);
    expect(died.exit).not.toBe(0);
    // Each dies once: it has done so.
    expect((await run(host, sh`ls ${`/usr/local/sbin/${name}`}`)).exit).not.toBe(0);
    const { on, lasts } = await facts();
    const small = { memoryMiB: 900, others: [], on, lasts, container: null, freeMiB: 20_000 };
    // Nothing is left to do only where its unit was enabled, the last thing that is done.
    expect(needsSwap(small)).toEqual({ needed: !last.includes('enable'), obstacle: null });
    await make(host, makeSwap(MEBIBYTES));
    expect(await outcome()).toBe(GOOD);
  });

  test('is there after a power cut, with its unit', async () => {
    await ask(host, makeSwap(MEBIBYTES).act);
    await host.powerCut();
    expect(await ask(host, sh`blkid -p -s TYPE -o value ${FILE}; systemctl is-enabled var-lib-chom-swap.swap`)).toBe(
      'swap\nenabled\n',
    );
    expect((await facts()).on).toBe(false);
  });
});

test('where the kernel takes none, none is left, and it is said why', async () => {
  await ask(host, sh`rm -f /usr/local/sbin/swapon /usr/local/sbin/swapoff`);
  const refused = await run(host, makeSwap(MEBIBYTES).act);
  try {
    expect([refused.exit, refused.stderr]).toEqual([EXIT.unsupported, expect.stringContaining('takes no swap file')]);
    expect((await run(host, removeSwap().check)).exit).toBe(0);
  } finally {
    await ask(host, removeSwap().act);
  }
});
