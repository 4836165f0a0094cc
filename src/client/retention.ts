import { type Command, Option } from 'commander';
import type { Db } from '../inventory/database.js';
import * as retentions from '../inventory/retentions.js';
import * as siteSchedules from '../inventory/site-schedules.js';
import * as sites from '../inventory/sites.js';
import * as storages from '../inventory/storages.js';
import * as tenants from '../inventory/tenants.js';
import { failure } from '../workflows/failures.js';
import type { RetentionOverride } from '../workflows/retention-policy.js';
import { action, type Cli, type Session } from './cli.js';
import { parseDomain } from './domain.js';
import { describePolicy, KEEP_OPTIONS, parseKeep, type KeepOptions } from './keep-options.js';
import { parseStorageName, parseTenantName } from './names.js';
import { openStores } from './open.js';
import { facts } from './text.js';

interface SetOptions extends KeepOptions {
  keepDefault?: boolean;
  timezone?: string;
  scheduledBackups?: string;
  backupStorage?: string;
}

/** `chom site set` */
export function siteSetCommand(site: Command, cli: Cli): void {
  withKeepOptions(site.command('set').argument('<domain>', 'its domain or one of its aliases'), 'what its tenant says')
    .description(
      'say which backups of a site are kept, where its tenant’s policy will not do, and what schedules do for it',
    )
    .addOption(
      new Option('--scheduled-backups <on|off>', 'have schedules back it up, and try its backups out').choices([
        'on',
        'off',
      ]),
    )
    .option(
      '--backup-storage <name>',
      'where these go; without it to where its newest backup lies, or the only storage',
    )
    .addHelpText('after', '\nExample:\n  chom site set shop.example.org --keep-daily 30 --keep-within 14')
    .action(action(cli, setSite));
}

/** `chom tenant set` */
export function tenantSetCommand(tenant: Command, cli: Cli): void {
  withKeepOptions(tenant.command('set').argument('<name>'), 'the default')
    .description('say which backups of a tenant’s sites are kept')
    .option('--timezone <zone>', 'whose days, weeks and months count, for example Europe/Berlin')
    .addHelpText(
      'after',
      '\nExample:\n  chom tenant set acme --keep-daily 14 --keep-monthly 24 --timezone Europe/Berlin',
    )
    .action(action(cli, setTenant));
}

function withKeepOptions(command: Command, otherwise: string): Command {
  for (const [flags, description] of Object.values(KEEP_OPTIONS)) command.option(flags, description);
  return command.option('--keep-default', `again ${otherwise}, but for what is given with it`);
}

async function setSite(session: Session, text: string, options: SetOptions): Promise<void> {
  const said = parse(options);
  const domain = parseDomain(text);
  const { inventory, tenant } = await session.open();
  const { id } = await sites.byDomain(inventory.db, domain, { tenant });
  await inventory.transaction(async (trx) => {
    if (options.keepDefault) await retentions.setOfSite(trx, id, null);
    await retentions.setOfSite(trx, id, said);
    await siteSchedules.setOfSite(trx, id, await schedulesOf(trx, tenant, options));
  });
  const site = await sites.byId(inventory.db, id);
  const { policy, timezone } = await retentions.ofSite(inventory.db, id);
  const lines = facts([
    ['site', site.domain],
    ['backups kept', describePolicy(policy)],
    ['scheduled backups', site.scheduledBackups ? 'on' : 'off'],
    ['to storage', options.backupStorage],
  ]);
  const { scheduledBackups, backupStorage, retention } = site;
  session.output.data({ site: site.domain, retention, policy, timezone, scheduledBackups, backupStorage }, lines);
}

async function schedulesOf(
  db: Db,
  tenant: string,
  { scheduledBackups, backupStorage: name }: SetOptions,
): Promise<siteSchedules.SiteSchedules> {
  return {
    ...(scheduledBackups !== undefined && { backups: scheduledBackups === 'on' }),
    ...(name !== undefined && { storage: (await storages.byName(db, tenant, parseStorageName(name))).id }),
  };
}

async function setTenant(session: Session, text: string, options: SetOptions): Promise<void> {
  const { timezone } = options;
  const retention = parse(options);
  const name = parseTenantName(text);
  // Tenants are the administrator's, also where CHOM_TENANT names one that there is not.
  const stores = await openStores(session.cli.environment);
  try {
    const { id } = await tenants.byName(stores.inventory.db, name);
    await stores.inventory.transaction(async (trx) => {
      if (options.keepDefault) await retentions.setOfTenant(trx, id, { retention: null });
      await retentions.setOfTenant(trx, id, { retention, ...(timezone !== undefined && { timezone }) });
    });
    const tenant = await tenants.byId(stores.inventory.db, id);
    const policy = retentions.policyOf(tenant);
    const lines = facts([
      ['tenant', tenant.name],
      ['backups kept', describePolicy(policy)],
      ['timezone', tenant.timezone],
    ]);
    session.output.data({ tenant, policy }, lines);
  } finally {
    await stores.inventory.close();
  }
}

/** @throws InvalidInput nothing was said */
function parse(options: SetOptions): RetentionOverride {
  const said = parseKeep(options);
  const { keepDefault, timezone, scheduledBackups, backupStorage } = options;
  const given = [keepDefault, timezone, scheduledBackups, backupStorage].some((one) => one !== undefined);
  if (given || Object.keys(said).length > 0) return said;
  throw failure('InvalidInput', 'Nothing is to be set', { next: 'give one of the options that --help lists' });
}
