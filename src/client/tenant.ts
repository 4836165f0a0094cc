import type { Command } from 'commander';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import * as retentions from '../inventory/retentions.js';
import * as tenants from '../inventory/tenants.js';
import { action, type Cli, type Session } from './cli.js';
import { parseTenantName } from './names.js';
import { openStores, type Stores } from './open.js';
import { describePolicy } from './keep-options.js';
import { tenantSetCommand } from './retention.js';
import { table } from './text.js';

/** `chom tenant …` */
export function tenantCommand(program: Command, cli: Cli): void {
  const tenant = program.command('tenant').description('whom servers and sites belong to; none sees those of another');
  tenant
    .command('add')
    .argument('<name>', 'what you call it; it keeps this name')
    .description('make a tenant, or find that there is one of that name')
    .addHelpText('after', '\nExample:\n  chom tenant add acme, and then: chom --tenant acme server add web1 …')
    .action(action(cli, add));
  tenant
    .command('list')
    .description('all tenants, with what they have')
    .addHelpText('after', '\nExample:\n  chom tenant list --json')
    .action(action(cli, list));
  tenantSetCommand(tenant, cli);
}

async function add(session: Session, text: string): Promise<void> {
  const name = parseTenantName(text);
  const { tenant, created } = await opened(session, async ({ inventory }) => await addTenant({ inventory }, name));
  if (!created) session.output.say(`There is a tenant ${name} already`);
  session.output.say(`Next: chom --tenant ${name} server add NAME --host ADDRESS --key FILE`);
  session.output.data({ tenant, created }, name);
}

/**
 * Makes a tenant; one of that name that is there already is returned. Its id is its name: that is what Temporal's UI
 * shows, and what its fairness goes by.
 * @throws InvalidInput
 */
export async function addTenant(
  { inventory }: Pick<Stores, 'inventory'>,
  text: string,
): Promise<{ tenant: tenants.Tenant; created: boolean }> {
  const name = parseTenantName(text);
  return await inventory.transaction(async (trx) => {
    const created = !(await tenants.list(trx)).some((known) => known.name === name);
    return { tenant: await tenants.add(trx, { id: name, name }), created };
  });
}

async function list(session: Session): Promise<void> {
  const found = await opened(session, async ({ inventory: { db } }) => {
    const all = await tenants.list(db);
    return await Promise.all(
      all.map(async (one) => {
        const { id, name, createdAt, retention, timezone } = one;
        const [ofServers, ofSites] = [await servers.list(db, { tenant: id }), await sites.list(db, { tenant: id })];
        const policy = retentions.policyOf(one);
        return { id, name, createdAt, servers: ofServers.length, sites: ofSites.length, retention, policy, timezone };
      }),
    );
  });
  const rows = found.map((one) => [one.name, `${one.servers}`, `${one.sites}`, describePolicy(one.policy)]);
  session.output.data({ tenants: found }, table(['TENANT', 'SERVERS', 'SITES', 'BACKUPS KEPT'], rows));
}

/** Tenants are the administrator's: the command works also where CHOM_TENANT names one that there is not. */
async function opened<Result>(session: Session, fn: (stores: Stores) => Promise<Result>): Promise<Result> {
  const stores = await openStores(session.cli.environment);
  try {
    return await fn(stores);
  } finally {
    await stores.inventory.close();
  }
}
