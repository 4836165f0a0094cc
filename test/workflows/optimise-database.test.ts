import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { optimisationActivities } from '../../src/activities/optimisation.js';
import type { Host, Job, Output } from '../../src/host/host.js';
import type { Hosts } from '../../src/host/pool.js';
import type { Script } from '../../src/host/shell.js';
import type { Chom } from '../../src/client/open.js';
import { optimiseDatabase } from '../../src/client/optimise-database.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as optimisations from '../../src/inventory/optimisations.js';
import { activeServer } from '../inventory/records.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { liveSite } from './site-records.js';

const MIB = 1024 * 1024;
const hex = (name: string) => Buffer.from(name).toString('hex').toUpperCase();

let chom: WorkflowEnvironment;
beforeAll(async () => {
  chom = await startEnvironment(inject('workflowBundle'));
  await chom.inventory.transaction(async (trx) => void (await activeServer(trx, 'web1')));
});
afterAll(async () => await chom?.close());

/** A MariaDB that knows of tables only how much of each is used and free. `says`: what it answers to a rebuild. */
function mariadb(tables: Record<string, { used: number; free: number }>, says: (name: string) => string) {
  const rebuilt: string[] = [];
  const output = (stdout: string, exit = 0): Output => ({ exit, stdout, stderr: '', already: false, milliseconds: 1 });
  const host = {
    name: 'web1',
    async read(_script: Script): Promise<Output> {
      const lines = Object.entries(tables).map(
        ([name, { used, free }]) => `table ${hex(name)} InnoDB ${used * MIB} 0 ${free * MIB} 0`,
      );
      return output([`free=${10_000 * MIB}`, ...lines, ''].join('\n'));
    },
    async job({ act }: Job): Promise<Output> {
      const [, name] = /OPTIMIZE NO_WRITE_TO_BINLOG TABLE `(\w+)`/.exec(act.script.toString()) ?? [];
      if (name === undefined) return output('');
      rebuilt.push(name);
      const said = says(name);
      if (said.includes('OK')) tables[name] = { used: tables[name]?.used ?? 0, free: 4 };
      return output(said, said.includes('ERROR') ? 1 : 0);
    },
    stop: async () => {},
  } as unknown as Host;
  return { rebuilt, hosts: { for: async () => host } as unknown as Hosts };
}

async function optimise(domain: string, hosts: Hosts) {
  const client: Chom = { ...chom, tenant: 'default', temporal: async () => chom.temporal, close: async () => {} };
  const id = await chom.withWorker(optimisationActivities({ ...chom.deps, hosts }), async () => {
    const operation = await optimiseDatabase(client, domain);
    await chom.temporal.workflow
      .getHandle(operation)
      .result()
      .catch(() => undefined);
    return operation;
  });
  await chom.replayed(id);
  const told = (await events.list(chom.inventory.db, { operation: id })).map(({ type }) => type);
  const row = await operations.byId(chom.inventory.db, id);
  return { row, told, done: await optimisations.ofOperation(chom.inventory.db, id) };
}

test('what is mostly free is rebuilt, the emptiest first; what cannot be is left and said, and is no failure', async () => {
  const { domain } = await liveSite(chom, { database: true });
  const tables = {
    ...{ full: { used: 90, free: 5 }, empty: { used: 1, free: 80 }, busy: { used: 9, free: 60 } },
    ...{ slow: { used: 9, free: 50 }, half: { used: 40, free: 40 } },
  };
  const { hosts, rebuilt } = mariadb(tables, (name) => {
    if (name === 'busy')
      return 's.busy\toptimize\tError\tLock wait timeout exceeded\ns.busy\toptimize\tstatus\tOperation failed\n';
    if (name === 'slow') return 'ERROR 1969 (70100): Query execution was interrupted (max_statement_time exceeded)\n';
    return `s.${name}\toptimize\tstatus\tOK\n`;
  });
  const { row, told, done } = await optimise(domain, hosts);
  expect(row).toMatchObject({ outcome: 'succeeded', committed: true, priority: 'low', warnings: [] });
  expect([rebuilt, told]).toEqual([['empty', 'busy', 'slow', 'half'], []]);
  expect(done).toMatchObject({ tables: 5, rebuilt: 2, reclaimedBytes: (80 + 40 - 2 * 4) * MIB });
  expect(done?.skipped.map(({ table, why }) => [table, why])).toEqual([
    [hex('busy'), 'busy'],
    [hex('slow'), 'time'],
  ]);
});

test('a site that is not in service any more when its turn comes is left alone', async () => {
  const { domain, site } = await liveSite(chom, { database: true });
  const { hosts, rebuilt } = mariadb({ empty: { used: 1, free: 80 } }, () => '');
  const client: Chom = { ...chom, tenant: 'default', temporal: async () => chom.temporal, close: async () => {} };
  const operation = await optimiseDatabase(client, domain);
  await chom.inventory.transaction(async (trx) => {
    await trx.updateTable('sites').set({ restoring: operation }).where('id', '=', site).execute();
  });
  await chom.withWorker(optimisationActivities({ ...chom.deps, hosts }), async () => {
    await expect(chom.temporal.workflow.getHandle(operation).result()).rejects.toThrow();
  });
  const told = (await events.list(chom.inventory.db, { operation })).map(({ type }) => type);
  expect([rebuilt, told]).toEqual([[], ['DatabaseOptimisationFailed', 'Alert']]);
  expect(await operations.byId(chom.inventory.db, operation)).toMatchObject({ failureType: 'Conflict' });
});
