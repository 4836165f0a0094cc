import type { OperationKind } from '../workflows/step.js';
import * as backups from './backups.js';
import { now } from './clock.js';
import type { Trx } from './database.js';
import * as events from './events.js';
import { failureEvents } from './failure-events.js';
import * as places from './places.js';
import * as restores from './restores.js';
import * as secrets from './secrets.js';
import * as sites from './sites.js';
import * as uploads from './uploads.js';

/**
 * Ends, in the inventory alone, what a server that no longer exists still has: operations without an outcome (their runs
 * find themselves superseded), with events and warnings as at every end, what they could not take back, their places, and
 * its sites. Returns what that was, a sentence each.
 */
export async function abandonServer(
  trx: Trx,
  { server, name, except }: { server: string; name: string; except: string },
): Promise<string[]> {
  const said: string[] = [];
  const open = await trx
    .selectFrom('operations')
    .select(['id', 'kind', 'committed', 'tenant', 'site'])
    .where('server', '=', server)
    .where('outcome', 'is', null)
    .where('id', '<>', except)
    .orderBy('id')
    // Whoever records an outcome at this moment is waited for, and then has one.
    .forUpdate()
    .execute();
  const reason = `Server ${name}, which it worked on, is gone`;
  for (const { id, kind, committed, tenant, site } of open) {
    // What took effect, did; its journal is closed.
    const left = committed ? [] : await leaveUndone(trx, id, reason);
    const warnings = committed
      ? [`${reason}: what followed after it had taken effect was not done`]
      : left.map((one) => `Not undone: ${one.label}: ${one.reason}`);
    const details = { server: name, cause: 'The server was removed with --gone', next: 'ask for it on another server' };
    await trx
      .updateTable('operations')
      .set({
        state: 'ended',
        outcome: committed ? 'succeeded' : 'failed',
        failureType: committed ? null : 'Unreachable',
        reason: committed ? null : reason,
        details: committed ? null : JSON.stringify(details),
        warnings: JSON.stringify(warnings),
        endedAt: now(),
      })
      .where('id', '=', id)
      .execute();
    const failed = { type: 'Unreachable', reason, details, warnings } as const;
    for (const event of committed ? [] : failureEvents(kind as OperationKind, failed)) {
      await events.emit(trx, { operation: id, tenant, server, site, ...event });
    }
    if (!committed) await backups.giveUp(trx, id, reason);
    await restores.settle(trx, id);
    await uploads.remove(trx, id);
    // Of a success they wait until they were shown.
    if (!committed) await secrets.remove(trx, id);
    const also = left.length > 0 ? `, and ${left.length} of its steps were not undone` : '';
    said.push(`${kind} (${id}) was ended${also}`);
  }
  await places.clear(trx, server);
  for (const site of await sites.list(trx, { server })) {
    await sites.setStatus(trx, site.id, 'removed');
    if (site.status !== 'failed') said.push(`Site ${site.domain} went with it`);
  }
  return said;
}

/** Records that what is left in the journal stays as it is. Returns those steps, newest first, and why. */
async function leaveUndone(trx: Trx, operation: string, reason: string): Promise<{ label: string; reason: string }[]> {
  const journalled = trx.updateTable('undos').set({ state: 'failed', reason, at: now() });
  await journalled.where('operation', '=', operation).where('state', '=', 'journalled').execute();
  const failed = trx.selectFrom('undos').select(['label', 'reason']).where('operation', '=', operation);
  const left = await failed.where('state', '=', 'failed').orderBy('step', 'desc').execute();
  // One that had failed before keeps its own reason.
  return left.map((one) => ({ label: one.label, reason: one.reason ?? reason }));
}
