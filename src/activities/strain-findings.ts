import type { Strain } from '../host/strain.js';
import type { Finding } from '../workflows/inspection.js';
import { fine, type Here } from './finding.js';

/** Over 15 minutes: work comes faster than it is done. */
const MOST_LOAD_PER_PROCESSOR = 4;
/** Below it the kernel begins to throw out what it needs again at once. */
const LEAST_AVAILABLE_PERCENT = 5;
/** Of both what passes is no news. */
const CHECKS = 3;

/** Whether a server works harder than it can. One look does not tell: the two come and go. */
export function strainFindings(strain: Strain | null, here: Here): Finding[] {
  if (strain === null) return [];
  const { load, processors, memoryMiB, availableMiB, swapMiB, freeSwapMiB } = strain;
  const percent = Math.floor((100 * availableMiB) / Math.max(1, memoryMiB));
  const swap = swapMiB > 0 ? `, ${freeSwapMiB} of ${swapMiB} MiB of swap` : ', and there is no swap';
  const available = `${availableMiB} of ${memoryMiB} MiB of memory are available${swap}`;
  return [
    load > processors * MOST_LOAD_PER_PROCESSOR
      ? passing('load', `The load is ${load} on ${processors} processors`, here('top -b -n 1 | head -n 20'))
      : fine('load', `The load is ${load} on ${processors} processors`),
    percent < LEAST_AVAILABLE_PERCENT
      ? passing('memory', available, here('ps -eo rss,user,args --sort -rss | head'))
      : fine('memory', available),
  ];
}

function passing(name: string, message: string, next: string): Finding {
  return { name, state: 'unknown', message, next, counts: { checks: CHECKS } };
}
