import { now } from './clock.js';
import type { Trx } from './database.js';
import * as places from './places.js';
import * as sites from './sites.js';
import * as uploads from './uploads.js';

/**
 * Ends, in the inventory alone, what a server that no longer exists still has: operations without an outcome (their runs
 * find themselves superseded), what they could not take back, their places, and its sites. Returns what that was, a
 * sentence each.
 */
export async function abandonServer(
  trx: Trx,
  { server, name, except }: { server: string; name: string; except: string },
): Promise<string[]> {
  const said: string[] = [];
  const open = await trx
    .selectFrom('operations')
    .select(['id', 'kind', 'committed'])
    .where('server', '=', server)
    .where('outcome', 'is', null)
    .where('id', '<>', except)
    .orderBy('id')
    .execute();
  for (const { id, kind, committed } of open) {
    const reason = `Server ${name}, which it worked on, is gone`;
    const undone = await trx
      .updateTable('undos')
      .set({ state: 'failed', reason, at: now() })
      .where('operation', '=', id)
      .where('state', '=', 'journalled')
      .executeTakeFirst();
    await uploads.remove(trx, id);
    const steps = Number(undone.numUpdatedRows);
    await trx
      .updateTable('operations')
      .set({
        state: 'ended',
        // What took effect, did.
        outcome: committed ? 'succeeded' : 'failed',
        failureType: committed ? null : 'Unreachable',
        reason,
        endedAt: now(),
      })
      .where('id', '=', id)
      .execute();
    said.push(`${kind} (${id}) was ended${steps > 0 ? `, and ${steps} of its steps were not undone` : ''}`);
  }
  await places.clear(trx, server);
  for (const site of await sites.list(trx, { server })) {
    await sites.setStatus(trx, site.id, 'removed');
    if (site.status !== 'failed') said.push(`Site ${site.domain} went with it`);
  }
  return said;
}
