import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { LabState } from '../../lab/state.js';

/** What this machine still has of a lab: processes, mounts, devices, network, groups, files. Empty when it is gone. */
export function traces(lab: LabState): string[] {
  const own = `/${lab.name}/`;
  return [
    ...processes().filter((line) => line.includes(own) || line.includes(`"${lab.name}"`)),
    ...mounts().filter((line) => line.includes(own)),
    ...output('losetup', '--list', '--noheadings').filter((line) => line.includes(own)),
    ...readdirSync('/sys/class/net').filter((name) => new RegExp(`^chom-${lab.subnet}(-|$)`).test(name)),
    ...output('ip', 'route').filter((line) => line.includes(`198.${18 + (lab.subnet >> 8)}.${lab.subnet & 255}.`)),
    ...['/sys/fs/cgroup', '/sys/fs/cgroup/unified', '/sys/fs/cgroup/systemd']
      .map((tree) => `${tree}/chom-${lab.name}`)
      .filter((group) => existsSync(group)),
    ...[lab.directory, `/run/chom-lab/${lab.name}.json`].filter((path) => existsSync(path)),
  ];
}

function output(program: string, ...arguments_: string[]): string[] {
  return execFileSync(program, arguments_, { encoding: 'utf8' }).split('\n').filter(Boolean);
}

/** Of every mount namespace: a lab's are in none of ours. */
function mounts(): string[] {
  const numbers = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const lines = numbers.flatMap((number) => {
    try {
      return readFileSync(`/proc/${number}/mounts`, 'utf8').split('\n');
    } catch {
      return [];
    }
  });
  return [...new Set(lines)];
}

function processes(): string[] {
  const numbers = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return numbers.map((number) => {
    try {
      return readFileSync(`/proc/${number}/cmdline`, 'utf8').replaceAll('\0', ' ');
    } catch {
      return '';
    }
  });
}
