import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { EXIT } from '../../src/host/exit-codes.js';
import { installPackages } from '../../src/host/packages.js';
import { sh } from '../../src/host/shell.js';
import { stateDirectories } from '../../src/host/state.js';
import * as operations from '../../src/inventory/operations.js';
import * as servers from '../../src/inventory/servers.js';
import type { Finding } from '../../src/workflows/inspection.js';
import { hostTree } from './host-tree.js';
import { ask, make, run } from './on-host.js';
import { type Rig, startRig } from './rig.js';

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ hosts: [{ name: 'plain' }, { name: 'full' }] });
  await rig.startWorker();
});
afterAll(async () => await rig?.down());

async function on(host: LabHost, script: string): Promise<string> {
  const { exit, stdout, stderr } = await host.exec(script);
  if (exit !== 0) throw new Error(`on ${host.name}: ${script}: exit ${exit}: ${stderr}`);
  return stdout.trim();
}

const add = (host: LabHost, name = host.name) => {
  const login = ['--host', host.address, '--key', host.keyFile, '--host-key', host.hostKey];
  return ['server', 'add', name, ...login, '--json'];
};
const files = async (host: LabHost) =>
  await on(host, 'cd /etc; ls logrotate.d/chom apt/apt.conf.d/90chom-updates 2>/dev/null; true');

describe('a host that cannot be had is left as it was', () => {
  test.each([
    [
      'another release',
      `cp --remove-destination /usr/lib/os-release /etc/os-release
sed -i 's/^VERSION_ID=.*/VERSION_ID="11"/; s/^PRETTY_NAME=.*/PRETTY_NAME="Debian GNU\\/Linux 11 (bullseye)"/' /etc/os-release`,
      'ln -sf ../usr/lib/os-release /etc/os-release',
      ['UnsupportedHost', /^plain runs Debian GNU\/Linux 11 \(bullseye\)$/],
    ],
    [
      'port 80 in somebody’s hands',
      'systemctl stop nginx; systemd-run --quiet --unit=squatter python3 -m http.server 80',
      'systemctl stop squatter; systemctl start nginx',
      ['Conflict', /^On plain, python3 holds port 80 or 443/],
    ],
  ] as const)('%s', async (what, spoil, mend, [type, message]) => {
    const host = rig.lab.host('plain');
    await on(host, spoil);
    if (what.startsWith('port')) {
      await poll('it listens', 60_000, async () => (await host.exec('ss -Hltnp | grep -q python3')).exit === 0);
    }
    const before = await hostTree(host, { times: true });
    const { exit, json } = await rig.chom(...add(host));
    expect([exit, json?.error?.type]).toEqual([1, type]);
    expect(json?.error?.message).toMatch(message);
    expect(await hostTree(host, { times: true })).toEqual(before);
    expect((await servers.byName(rig.inventory.db, 'default', 'plain')).status).toBe('failed');
    await on(host, mend);
  });

  test('a full disk, at each of its attempts', async () => {
    const host = rig.lab.host('full');
    const before = await hostTree(host, { times: true });
    await host.fill();
    const { exit, json } = await rig.chom(...add(host));
    await host.unfill();
    expect([exit, json?.error]).toMatchObject([
      1,
      { type: 'DiskFull', message: expect.stringMatching(/^full has \d+ MiB free, 1024 are needed$/) as string },
    ]);
    expect(await hostTree(host, { times: true })).toEqual(before);
  });
});

describe('another package manager at work', () => {
  /** A real apt, which stops before it does anything, with its lock. */
  async function whileAptWorks(host: LabHost, fn: () => Promise<void>) {
    const hold = `-o DPkg::Pre-Invoke::='touch /run/apt-works; exec sleep infinity'`;
    await on(host, `systemd-run --quiet --collect --unit=other-apt apt-get -y ${hold} remove unzip`);
    try {
      await poll('it works', 60_000, async () => (await host.exec('[ -e /run/apt-works ]')).exit === 0);
      await fn();
    } finally {
      await on(host, 'systemctl stop other-apt; rm -f /run/apt-works');
    }
  }

  test('is named when it does not end in time, and nothing is changed', async () => {
    const host = rig.lab.host('plain');
    await make(host, stateDirectories());
    await on(host, 'dpkg --remove msmtp logrotate >/dev/null');
    await whileAptWorks(host, async () => {
      const before = await hostTree(host, { times: true });
      const { exit, stderr } = await run(host, installPackages({ php: '8.4', more: [] }, 1).act);
      expect(exit).toBe(EXIT.packageManagerBusy);
      expect(stderr.trim()).toMatch(/^apt-get \(pid \d+\) holds \/var\/lib\/dpkg\/lock-frontend$/);
      expect(await hostTree(host, { times: true })).toEqual(before);
    });
  });

  test('is waited for; what can be done without is then not there', async () => {
    const host = rig.lab.host('plain');
    const words = [...add(host), '--no-logrotate', '--no-updates', '--detach'];
    let operation = '';
    await whileAptWorks(host, async () => {
      operation = (await rig.chom(...words)).json?.operation ?? '';
      // The job is at it: it holds CHOM's own lock, and waits for the other.
      const waits = async () => (await host.exec('flock -n /var/lib/chom/locks/packages true')).exit === 1;
      await poll('it waits', 60_000, waits);
      expect(await on(host, 'dpkg-query -W -f "\\${db:Status-Status}" msmtp')).not.toBe('installed');
    });
    expect(await rig.chom('op', 'watch', operation, '--json')).toMatchObject({
      exit: 0,
      json: { status: 'succeeded' },
    });
    const { steps } = await operations.byId(rig.inventory.db, operation);
    const step = steps.find((one) => (one as { label: string }).label === 'Install packages');
    expect(step).toMatchObject({ state: 'done', attempt: 1 });
    // It would have been installed, had anybody wanted it.
    expect(await on(host, 'dpkg-query -W -f "\\${Package} \\${db:Status-Status}\\n" msmtp unzip')).toBe(
      'msmtp installed\nunzip installed',
    );
    expect((await host.exec('[ -x /usr/sbin/logrotate ]')).exit).not.toBe(0);
    expect(await files(host)).toBe('');
    await rig.replayed(operation);
  });
});

describe('an installation that was broken off before', () => {
  /** Dies as the power goes while it unpacks. */
  const DYING = `#!/bin/sh
case "$1" in --fsys-tarfile) kill -KILL "$PPID" ;; esac
exec /usr/bin/dpkg-deb "$@"
`;
  test.each([
    ['unpacked', sh`dpkg --unpack msmtp_*.deb`],
    ['half-installed', sh`PATH="/run/dying:$PATH" dpkg --unpack msmtp_*.deb || :`],
  ])('of which a package is %s, is completed by the next one', async (state, breakOff) => {
    const host = rig.lab.host('plain');
    const stateOf = async () => await on(host, 'dpkg-query -W -f "\\${db:Status-Status}" msmtp');
    await ask(
      host,
      sh`mkdir -p /run/dying && cd /run/dying && printf %s ${DYING} >dpkg-deb && chmod 755 dpkg-deb
apt-get -qq update && apt-get -qq download msmtp && dpkg --remove msmtp && ${breakOff}`,
    );
    expect(await stateOf()).toBe(state);
    expect(await make(host, installPackages({ php: '8.4', more: [] }))).toBe('made');
    expect(await stateOf()).toBe('installed');
    expect(await on(host, 'rm -r /run/dying; dpkg --audit; msmtp --version | head -n 1')).toMatch(/^msmtp version/);
  });
});

describe('what can be done without', () => {
  const wrong = async () => {
    const { json } = await rig.chom('server', 'doctor', 'plain', '--json');
    return ((json?.['checks'] ?? []) as Finding[]).filter(({ state }) => state === 'wrong');
  };

  test('is not missed by the doctor, comes when it is wanted after all, and goes again', async () => {
    const host = rig.lab.host('plain');
    expect(await wrong()).toEqual([]);
    // What is not said stays as it was said.
    await rig.chom.must('server', 'add', 'plain');
    expect(await files(host)).toBe('');
    await rig.chom.must('server', 'add', 'plain', '--logrotate', '--updates');
    expect(await files(host)).toBe('apt/apt.conf.d/90chom-updates\nlogrotate.d/chom');
    expect(await wrong()).toEqual([]);
    // Also what somebody has taken away before.
    await on(host, 'rm /etc/logrotate.d/chom');
    await rig.chom.must('server', 'add', 'plain', '--no-logrotate', '--no-updates');
    expect(await files(host)).toBe('');
    expect(await wrong()).toEqual([]);
    const { json } = await rig.chom.must('server', 'show', 'plain', '--json');
    expect(json?.['server']).toMatchObject({
      protection: { firewall: true, updates: false, swap: true, logrotate: false },
    });
  });
});

test('a machine that is enrolled is refused under another name, and left alone', async () => {
  const host = rig.lab.host('plain');
  const before = await hostTree(host, { times: true });
  const { exit, json } = await rig.chom(...add(host, 'again'));
  expect([exit, json?.error]).toMatchObject([
    1,
    {
      type: 'Conflict',
      message: `The machine of again is here already: it is plain (${host.address}), which is active`,
      next: 'chom server show plain',
    },
  ]);
  expect(await hostTree(host, { times: true })).toEqual(before);
  // By that name CHOM is not taken off it either.
  expect((await rig.chom('server', 'remove', 'again', '--confirm', 'again')).exit).toBe(1);
  await rig.chom.must('server', 'remove', 'again', '--confirm', 'again', '--gone');
  expect(await hostTree(host, { times: true })).toEqual(before);
  await rig.chom.must('server', 'add', 'plain');
  // A copy of it that has its own id is another machine.
  await on(
    host,
    'cp /etc/machine-id /root/machine-id; rm /etc/machine-id; tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id',
  );
  const other = await rig.chom(...add(host, 'again'));
  expect(other.json?.error?.type).not.toBe('Conflict');
});
