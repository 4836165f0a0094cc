import * as servers from '../inventory/servers.js';
import { keyAges, type KeyAge } from '../inventory/rotations.js';
import { failure } from '../workflows/failures.js';
import { MOST_OVERLAP_HOURS, OVERLAP_HOURS, rotationPlan, type RotationPlan } from '../workflows/rotation-plan.js';
import { askFor, type Asking } from './ask-for.js';
import { parseServerName } from './names.js';
import type { Chom } from './open.js';
import { newOperationId } from './submit.js';

/** A rotation as it is wanted. */
export interface Rotation extends Asking {
  /** The server's name. */
  server: string;
  /** The old key is removed at once, without an overlap and without a backup of CHOM that holds the new one. */
  emergency?: boolean;
  /** For so long the old key still gets in; 24 unless said. */
  overlapHours?: number;
}

/**
 * Asks for a server to be given another key of CHOM's.
 * @throws InvalidInput; NotFound no such server; Conflict it is not enrolled; Busy; TemporalUnavailable
 */
export async function rotateCredentials(
  chom: Chom,
  wanted: Rotation,
): Promise<{ operation: string; plan: RotationPlan }> {
  checkRotation(wanted);
  const { emergency = false, overlapHours = OVERLAP_HOURS, wait } = wanted;
  const { tenant } = chom;
  const { id, name } = await expectEnrolled(chom, wanted.server);
  const plan = rotationPlan.parse({ server: id, tenant, name, emergency, overlapHours });
  const summary = `Rotate the key of ${name}${emergency ? ', without an overlap' : ''}`;
  const what = { kind: 'rotate-credentials', input: plan, summary, priority: 'high', exclusive: true } as const;
  const request = { ...what, tenant, server: id, serverName: name, ...(wait !== undefined && { wait }) };
  const operation = await askFor(chom, request, wanted.operation ?? newOperationId(what.kind));
  return { operation, plan };
}

/** The server of that name. @throws InvalidInput; NotFound; Conflict it is not enrolled */
export async function expectEnrolled({ inventory, tenant }: Chom, given: string): Promise<servers.Server> {
  return servers.expectEnrolled(await servers.byName(inventory.db, tenant, parseServerName(given)));
}

/** The servers whose key is due to be replaced, the longest due first; `all`: the others too. `now` in milliseconds. */
export async function dueRotations(
  { inventory, tenant }: Pick<Chom, 'inventory' | 'tenant'>,
  { all = false, now = Date.now() } = {},
): Promise<KeyAge[]> {
  return (await keyAges(inventory.db, tenant, now)).filter(({ daysLate }) => all || daysLate !== null);
}

/** What is wrong with it by itself. @throws InvalidInput */
export function checkRotation({ emergency = false, overlapHours }: Omit<Rotation, 'server'>): void {
  if (overlapHours === undefined) return;
  if (emergency) {
    throw failure('InvalidInput', 'In an emergency there is no overlap', { next: 'leave --overlap-hours out' });
  }
  if (Number.isInteger(overlapHours) && overlapHours >= 1 && overlapHours <= MOST_OVERLAP_HOURS) return;
  throw failure('InvalidInput', 'The old key still gets in for a whole number of hours', {
    cause: `from 1 to ${MOST_OVERLAP_HOURS}`,
  });
}
