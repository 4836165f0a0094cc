import { expect } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import type { RestoreChange } from '../../src/host/restore-manifest.js';
import { sh } from '../../src/host/shell.js';
import { ask } from './on-host.js';
import type { RestoredSite } from './restored-site.js';

/** In the place of a program: ends the job that starts it, and all of that, where `let-live` has come to nothing. */
const KILLER = String.raw`#!/bin/sh
unit=$(awk -F / '/:(name=systemd)?:/ && /chom-/ { print $NF; exit }' /proc/self/cgroup)
if [ -n "$unit" ]; then
  n=$(cat /run/let-live)
  case $n in
    0) echo -1 >/run/let-live; systemctl kill -s KILL "$unit"; sleep 60 ;;
    -*) ;;
    *) echo $((n - 1)) >/run/let-live ;;
  esac
fi
`;

/**
 * Runs a change again and again, each time killing it, and all that it started, two programs later than before, beginning
 * at the nth, until it ends; after each `other` takes it back, to `state`. Says how often it was killed.
 */
export async function killedEverywhere(
  machine: LabHost,
  site: Pick<RestoredSite, 'run' | 'state'>,
  change: RestoreChange,
  other: RestoreChange,
  state: string,
  from: 0 | 1,
): Promise<number> {
  const programs = [
    '/usr/bin/mariadb',
    '/usr/bin/sync',
    '/usr/bin/perl',
    '/usr/bin/mv',
    '/usr/bin/rm',
    '/usr/bin/mariadb-dump',
  ];
  for (let killed = 0; ; killed += 1) {
    const letLive = from + 2 * killed;
    await ask(
      machine,
      sh`echo ${letLive} >/run/let-live && for program in ${programs}; do
  [ -e "$program.real" ] || cp -a "$(readlink -f "$program")" "$program.real"
  printf %s ${KILLER} >/run/wrapper && printf 'exec %s.real "$@"\n' "$program" >>/run/wrapper && chmod 755 /run/wrapper
  cp /run/wrapper "/run/wrapper-$(basename "$program")" && mount --bind "/run/wrapper-$(basename "$program")" "$program"
done`,
    );
    const output = await site.run(change).catch((error: unknown) => error);
    await ask(machine, sh`for program in ${programs}; do umount "$program"; done`);
    if ((output as { exit?: number }).exit === 0) return killed;
    expect((await machine.exec('cat /run/let-live')).stdout).toBe('-1\n');
    // From there it goes on, and from there it goes back.
    if (killed % 2 === 0) await again(site, change);
    await again(site, other);
    expect(await site.state()).toBe(state);
  }
}

async function again(site: Pick<RestoredSite, 'run'>, change: RestoreChange): Promise<void> {
  expect(await site.run(change)).toMatchObject({ exit: 0 });
  expect(await site.run(change)).toMatchObject({ exit: 0, already: true });
}
