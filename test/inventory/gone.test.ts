import { expect, test } from 'vitest';
import type { Trx } from '../../src/inventory/database.js';
import * as events from '../../src/inventory/events.js';
import { abandonServer } from '../../src/inventory/gone.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as secrets from '../../src/inventory/secrets.js';
import { onBothDatabases } from './databases.js';
import { activeServer, provision } from './records.js';

onBothDatabases('A server that is gone', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);
  const emitted = async (operation: string) => await events.list(database.inventory.db, { operation });
  const secret = (operation: string) => ({ operation, name: 'login' });

  /** An operation that has begun, with a secret of its own and two steps that can be taken back. */
  async function atWork(operation: string): Promise<void> {
    const { inventory, keyring } = database;
    await write(async (trx) => {
      await operations.ask(trx, keyring, provision(operation));
      await secrets.put(trx, keyring, secret(operation), Buffer.from('open sesame'));
    });
    const { epoch } = await operations.begin(inventory, { operation, run: 'run' });
    for (const [index, label] of ['Create the user', 'Publish the site'].entries()) {
      const entry = { operation, step: index + 1, label, undo: { activity: 'undo', args: [] } };
      const fence = { operation, run: 'run', epoch };
      await inventory.fenced(fence, (trx) => operations.enterStep(trx, keyring, entry));
    }
  }

  test('ends what was at work on it as every end does: events, warnings by name, secrets, places', async () => {
    const { inventory, keyring } = database;
    await write(async (trx) => {
      await activeServer(trx, 'web1');
      await operations.ask(trx, keyring, provision('leaving', { kind: 'remove-server', site: null }));
    });
    for (const id of ['broken', 'live']) await atWork(id);
    await write(async (trx) => {
      await operations.markUndone(trx, { operation: 'broken', step: 2, reason: 'it is held' });
      await operations.commitOperation(trx, 'live');
    });
    const gone = { server: 'web1', name: 'web1', except: 'leaving' };
    expect(await write((trx) => abandonServer(trx, gone))).toEqual([
      'provision-site (broken) was ended, and 2 of its steps were not undone',
      'provision-site (live) was ended',
    ]);

    const reason = 'Server web1, which it worked on, is gone';
    const warnings = ['Not undone: Publish the site: it is held', `Not undone: Create the user: ${reason}`];
    const ended = { state: 'ended', failureType: 'Unreachable', reason, warnings };
    expect(await operations.byId(inventory.db, 'broken')).toMatchObject({ outcome: 'failed', ...ended });
    expect(await emitted('broken')).toMatchObject([
      { type: 'SiteProvisioningFailed', site: 's-broken', data: { type: 'Unreachable', reason, warnings } },
      { type: 'Alert', data: { severity: 'error', about: 'SiteProvisioningFailed', reason } },
    ]);
    expect(await secrets.find(inventory.db, keyring, secret('broken'))).toBeNull();

    expect(await operations.byId(inventory.db, 'live')).toMatchObject({
      ...{ outcome: 'succeeded', failureType: null, reason: null },
      warnings: [`${reason}: what followed after it had taken effect was not done`],
    });
    expect(await emitted('live')).toEqual([]);
    // Nobody has been shown it yet.
    expect(await secrets.find(inventory.db, keyring, secret('live'))).toEqual(Buffer.from('open sesame'));

    expect((await operations.byId(inventory.db, 'leaving')).outcome).toBeNull();
    expect(await places.list(inventory.db, { server: 'web1' })).toEqual([]);
  });
});
