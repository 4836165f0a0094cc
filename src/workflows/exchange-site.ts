import type { applicationActivities } from '../activities/application.js';
import type { exchangeActivities } from '../activities/exchange.js';
import { createBackup } from './create-backup.js';
import { causeOf } from './causes.js';
import { failure } from './failures.js';
import type { Operation } from './definition.js';
import type { ExchangePlan } from './restore-plan.js';
import { steps, type Step } from './steps.js';

const app = steps<ReturnType<typeof applicationActivities>>();
const exchange = steps<ReturnType<typeof exchangeActivities>>();

/** How what lies beside a site changes places with what is live, and back. */
export interface Exchange<Args extends unknown[]> {
  label: string;
  step: Step<Args, void>;
  back: Step<Args, void>;
  args: Args;
}

/**
 * Exchanges what a site is: closes it to visitors, backs up what is there, so that nothing which is written until then is
 * lost, changes places, opens it and sees it answer. Whatever fails is taken back from the end: closed again, changed
 * back, opened. Of one path nothing is closed.
 */
export async function exchangeSite<Args extends unknown[]>(
  op: Operation,
  plan: ExchangePlan,
  { label, step, back, args }: Exchange<Args>,
): Promise<void> {
  const whole = plan.path === null;
  await op.step('Close the site', exchange.closeSite, [plan], { undo: [exchange.reopenSite, [plan]], when: whole });
  if (plan.safety) await backUpBefore(op, plan.safety);
  await op.step(label, step, args, { undo: [back, args] });
  const published = await op.step('Open the site', exchange.openSite, [plan], {
    undo: [exchange.closeSite, [plan]],
    when: whole,
  });
  await op.step('See it answer', exchange.seeContent, [plan, published], { bounds: 'quick', when: whole });
  const jobs = plan.type === 'wordpress' || plan.type === 'laravel';
  await op.step('Start its own jobs', app.startBackground, [plan], { when: jobs && whole });
}

async function backUpBefore(op: Operation, safety: NonNullable<ExchangePlan['safety']>): Promise<void> {
  try {
    await op.child(createBackup, 'safety', safety);
  } catch (error) {
    const { type, message, details } = causeOf(error);
    if (type !== 'DatabaseBroken') throw error;
    throw failure(type, `What is there cannot be backed up before: ${message}`, {
      ...details,
      cause: 'Its database is damaged, which may be why it is to be restored',
      next: `the same with --no-safety-backup --confirm ${safety.domain}: what is whole of it stays beside the site until the undo window ends`,
    });
  }
}
