import { createInterface } from 'node:readline';
import { openInventory } from '../../src/inventory/database.js';
import * as events from '../../src/inventory/events.js';
import { Keyring } from '../../src/inventory/keyring.js';
import * as operations from '../../src/inventory/operations.js';
import * as sites from '../../src/inventory/sites.js';
import type { Act } from './processes.js';
import { activeServer, provision, sitePlan } from './records.js';

// A process of its own at work on an inventory: see processes.ts.
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { where, keyring: keys, act, name } = JSON.parse((await input.next()).value as string) as Act;
const keyring = Keyring.fromObject(keys);
say('ready');
await input.next();
const inventory = await openInventory(where);
if (act === 'take') say(await take());
if (act === 'work') for (let n = 1; ; n += 1) await work(`${name}-${n}`);
await inventory.close();

/** Asks for an operation on the one site that all want. */
async function take(): Promise<string> {
  await inventory.transaction((trx) => activeServer(trx, 'web1'));
  await inventory.transaction((trx) => operations.ask(trx, keyring, provision(name, { site: 'swanted' })));
  const { granted } = await operations.begin(inventory, { operation: name, run: 'run' });
  return granted ? 'taken' : 'in line';
}

/** A whole operation in few, large transactions, so that a kill often falls into one. */
async function work(id: string): Promise<void> {
  const plan = sitePlan(`s-${id}`, `${id}.example.org`, { aliases: [`www.${id}.example.org`] });
  const fence = { operation: id, run: 'run', epoch: 1 };
  await inventory.transaction((trx) => operations.ask(trx, keyring, provision(id)));
  await operations.begin(inventory, { operation: id, run: 'run' });
  await inventory.fenced(fence, async (trx) => {
    await operations.enterStep(trx, keyring, { operation: id, step: 1, undo: { activity: 'release', args: [plan] } });
    await sites.reserve(trx, plan, id);
  });
  await inventory.transaction(async (trx) => {
    await sites.activate(trx, plan.site);
    await events.emit(trx, {
      operation: id,
      type: 'SiteProvisioned',
      tenant: 'default',
      server: 'web1',
      site: plan.site,
      data: {},
    });
    await operations.conclude(trx, fence, { outcome: 'succeeded', siteStatus: 'active' });
  });
  say(id);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
