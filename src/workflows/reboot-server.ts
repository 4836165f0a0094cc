import type { rebootActivities } from '../activities/reboot.js';
import { operation } from './operation.js';
import { rebootPlan } from './reboot-plan.js';
import { steps } from './steps.js';

const reboot = steps<ReturnType<typeof rebootActivities>>();

/** Firmware that counts its memory takes minutes. */
const DEADLINE_MS = 15 * 60_000;
const FIRST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 60_000;

/**
 * Restarts a server, alone on it: what is at work there ends first, and what comes waits. The boot that is to end is on
 * record before anything is done, so that whoever takes it up restarts it only as long as that boot lasts. It ends well
 * when all that worked before does again.
 */
export const rebootServer = operation(
  'reboot-server',
  { input: rebootPlan, attempts: 3, backoff: '30 seconds', expected: '5 minutes', exclusive: true },
  async (op, plan) => {
    const before = await op.step('Look at what works', reboot.lookBefore, [plan]);
    if (plan.ifPending && !before.due) return op.warn(`Nothing wants ${plan.name} restarted: it was left alone`);
    for (const domain of before.silent) op.warn(`${domain} did not answer before the restart either`);
    await op.step('Restart', reboot.restartServer, [plan, before]);
    const until = Date.now() + DEADLINE_MS;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(LONGEST_PAUSE_MS, pause * 2)) {
      await op.wait('Wait for the server', Math.min(pause, Math.max(1_000, until - Date.now())));
      const last = Date.now() >= until;
      if (await op.step('Look whether it is back', reboot.isBack, [plan, before, { last }])) break;
    }
    await op.step('See its services work', reboot.seeServices, [plan, before], { bounds: 'quick' });
    await op.step('See its sites answer', reboot.seeSites, [plan, before]);
    await op.step('Record the restart', reboot.recordRestart, [plan, before], { final: true, bounds: 'quick' });
  },
);
