import { failure } from '../workflows/failures.js';
import type { Trx } from './database.js';

const TARGETS = ['tenant', 'server', 'site'] as const;

/**
 * Inside `fenced`, before a step acts: what its plans name is what the operation was asked for, and belongs to the tenant
 * that asked. Whoever can start workflows could otherwise have one tenant's operation work on another's server.
 * @throws Forbidden, which tells nothing of whose it is
 */
export async function refuseForeign(trx: Trx, operation: string, args: readonly unknown[]): Promise<void> {
  const row = await trx
    .selectFrom('operations')
    .leftJoin('servers', 'servers.id', 'operations.server')
    .leftJoin('sites', 'sites.id', 'operations.site')
    .select(['operations.tenant', 'operations.server', 'operations.site', 'sites.server as home'])
    .select(['servers.tenant as serverTenant', 'sites.tenant as siteTenant'])
    .where('operations.id', '=', operation)
    .executeTakeFirstOrThrow();
  const { tenant, serverTenant, siteTenant, home, server } = row;
  // A site that is yet to be reserved has no row.
  if ((serverTenant ?? tenant) !== tenant) throw foreign(operation, 'server');
  if ((siteTenant ?? tenant) !== tenant) throw foreign(operation, 'site');
  if (home !== null && home !== server) throw foreign(operation, 'site', 'another server’s');
  for (const plan of args.filter(isPlan)) {
    for (const target of TARGETS) {
      if (plan[target] === undefined || plan[target] === row[target]) continue;
      // An operation that works on no server may still end the records of one.
      if (target === 'server' && server === null && (await ownerOf(trx, plan[target])) === tenant) continue;
      throw foreign(operation, target, 'not what the operation was asked for');
    }
  }
}

async function ownerOf(trx: Trx, server: unknown): Promise<string | undefined> {
  const row = await trx.selectFrom('servers').select('tenant').where('id', '=', String(server)).executeTakeFirst();
  return row?.tenant;
}

/** Every plan names its tenant. */
function isPlan(arg: unknown): arg is Record<(typeof TARGETS)[number], unknown> {
  return typeof arg === 'object' && arg !== null && 'tenant' in arg;
}

function foreign(operation: string, what: string, why = 'another tenant’s') {
  return failure('Forbidden', `Operation ${operation} may not act: its ${what} is ${why}`, {
    cause: 'the order was not made by CHOM for this operation, or a defect in CHOM',
    next: `chom op show ${operation}`,
  });
}
