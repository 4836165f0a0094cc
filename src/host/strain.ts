import { sh, type Script } from './shell.js';

/** How hard a server works. */
export interface Strain {
  /** Processes that run or wait to, on average over 15 minutes. */
  load: number;
  processors: number;
  memoryMiB: number;
  /** What programs could still have without swapping. */
  availableMiB: number;
  swapMiB: number;
  freeSwapMiB: number;
}

/** Prints what `parseStrain` reads. */
export function askStrain(): Script {
  return sh`echo "load=$(cut -d ' ' -f 3 /proc/loadavg)"
echo "processors=$(nproc)"
awk '/^(MemTotal|MemAvailable|SwapTotal|SwapFree):/ { print $1 int($2 / 1024) }' /proc/meminfo`;
}

/** Null where the server did not say. */
export function parseStrain(output: string): Strain | null {
  const value = (name: string) => Number(new RegExp(`^${name}[=:]([0-9.]+)$`, 'm').exec(output)?.[1] ?? NaN);
  const strain = {
    load: value('load'),
    processors: value('processors'),
    memoryMiB: value('MemTotal'),
    availableMiB: value('MemAvailable'),
    swapMiB: value('SwapTotal'),
    freeSwapMiB: value('SwapFree'),
  };
  return Object.values(strain).some(Number.isNaN) ? null : strain;
}
