import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { parseProgress, readProgress, type BackupProgress } from '../host/backup-progress.js';
import type { StepContext } from '../workflows/step.js';
import { tellAmount } from './heartbeat.js';
import type { Workplace } from './workplace.js';

/** As often as restic says something new. */
const EVERY_MS = 5000;

const PHASES: Record<BackupProgress['phase'], string> = {
  database: 'database',
  files: 'files',
  manifest: 'manifest',
  'reading-back': 'reading back',
};

/** Has the step's heartbeats tell how far its backup is while `work` runs. That it cannot be asked harms nothing. */
export async function withProgress<Result>(
  place: Workplace,
  step: StepContext,
  work: () => Promise<Result>,
): Promise<Result> {
  const ended = new AbortController();
  void follow(place, step, Context.current(), ended.signal);
  try {
    return await work();
  } finally {
    ended.abort();
  }
}

async function follow(place: Workplace, step: StepContext, context: Context, ended: AbortSignal): Promise<void> {
  for (;;) {
    await sleep(EVERY_MS, undefined, { signal: ended, ref: false }).catch(() => undefined);
    if (ended.aborted) return;
    const asked = await place.read(readProgress(step.operation), { limitSeconds: 10 }).catch(() => null);
    const progress = asked && parseProgress(asked.stdout);
    if (!progress) continue;
    const { phase, done, files, bytes, totalBytes } = progress;
    tellAmount(context, { step: step.index, amount: { phase: PHASES[phase], done, files, bytes, totalBytes } });
  }
}
