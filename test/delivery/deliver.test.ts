import { afterEach, expect, test, vi } from 'vitest';
import { readConfig } from '../../src/config.js';
import { keepDelivering } from '../../src/delivery/deliver.js';
import * as deliveries from '../../src/inventory/deliveries.js';
import type { EventType } from '../../src/inventory/event-types.js';
import * as events from '../../src/inventory/events.js';
import * as webhooks from '../../src/inventory/webhooks.js';
import { onBothDatabases } from '../inventory/databases.js';
import { httpReceiver, type HttpReceiver } from './receiver.js';

onBothDatabases('Events', (database) => {
  const open: HttpReceiver[] = [];
  const ends: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
    for (const one of open.splice(0)) await one.close();
  });

  async function receiver(answer: Parameters<typeof httpReceiver>[0]): Promise<HttpReceiver> {
    const one = await httpReceiver(answer);
    open.push(one);
    return one;
  }
  async function webhook(id: string, url: string, more: Partial<webhooks.NewWebhook> = {}): Promise<void> {
    const { inventory, keyring } = database;
    const base = { id, tenant: null, name: id, url, events: [], allowPrivate: true, secret: Buffer.alloc(32, 1) };
    await inventory.transaction(async (trx) => await webhooks.add(trx, keyring, { ...base, ...more }));
  }
  const emit = async (operation: string, type: EventType, tenant = 'default') =>
    await database.inventory.transaction(
      async (trx) => await events.emit(trx, { operation, type, tenant, server: null, site: null, data: {} }),
    );
  /** As a worker does. Returns what ends it. */
  function deliver(): () => Promise<void> {
    const { inventory, keyring } = database;
    const end = new AbortController();
    const settings = readConfig({});
    const log = { warn: vi.fn<() => void>() };
    const ended = keepDelivering({ inventory, keyring, settings, controller: 'c', log }, end.signal, 20);
    const stop = async () => {
      end.abort();
      await ended;
    };
    ends.push(stop);
    return stop;
  }
  const told = ({ received }: HttpReceiver) =>
    received.map(({ body }) => {
      const { operation, type } = JSON.parse(body) as { operation: string; type: string };
      return `${operation} ${type}`;
    });

  test('[EV-01/webhooks] reach every webhook that wants them, each once while all goes well, in order', async () => {
    const [all, alerts, other] = [
      await receiver((response) => response.end()),
      await receiver((response) => response.end()),
      await receiver((response) => response.end()),
    ];
    await webhook('all', all.url);
    await webhook('alerts', alerts.url, { events: ['Alert'] });
    await webhook('other', other.url, { tenant: 'other' });
    await emit('one', 'BackupCreated');
    await emit('one', 'BackupFailed');
    await emit('one', 'Alert');
    await emit('two', 'BackupCreated', 'other');
    // Two workers share them.
    deliver();
    deliver();
    await expect.poll(() => all.received.length).toBe(4);
    await expect.poll(() => alerts.received.length + other.received.length).toBe(2);
    const first = told(all).filter((text) => text.startsWith('one'));
    expect(first).toEqual(['one BackupCreated', 'one BackupFailed', 'one Alert']);
    expect(told(alerts)).toEqual(['one Alert']);
    expect(told(other)).toEqual(['two BackupCreated']);
    const ids = all.received.map(({ headers }) => headers['webhook-id']);
    expect(new Set(ids).size).toBe(4);
    await expect
      .poll(async () => await deliveries.counts(database.inventory.db, 'all'))
      .toEqual({
        ...{ pending: 0, delivered: 4, parked: 0 },
      });
  });

  test('are delivered again under the same id where a try failed, and nothing of that operation overtakes them', async () => {
    const flaky = await receiver((response, n) => response.writeHead(n === 1 ? 500 : 200).end());
    await webhook('flaky', flaky.url);
    await emit('one', 'BackupCreated');
    await emit('one', 'BackupCompleted');
    deliver();
    await expect.poll(() => flaky.received.length).toBe(3);
    expect(told(flaky)).toEqual(['one BackupCreated', 'one BackupCreated', 'one BackupCompleted']);
    const [a, b, c] = flaky.received.map(({ headers }) => headers['webhook-id']);
    expect([a === b, a === c]).toEqual([true, false]);
  });

  test('that a receiver never answers hold up no other receiver', async () => {
    const dead = await receiver(() => undefined);
    const well = await receiver((response) => response.end());
    await webhook('dead', dead.url);
    await webhook('well', well.url);
    for (let n = 0; n < 30; n += 1) await emit(`op-${n}`, 'Alert');
    const stop = deliver();
    await expect.poll(() => well.received.length).toBe(30);
    expect(dead.received.length).toBeLessThanOrEqual(4);
    await dead.close();
    await stop();
  });

  test('that a worker took and did not deliver are left to another one after a minute', async () => {
    const well = await receiver((response) => response.end());
    await webhook('well', well.url);
    await emit('one', 'Alert');
    const { inventory } = database;
    const order = { receivers: ['well'], limit: 10, toOne: 4 };
    const take = async (at: string, end: string) =>
      await inventory.transaction(async (trx) => await deliveries.take(trx, { ...order, at, until: end }));
    await inventory.transaction(async (trx) => await deliveries.address(trx, [{ id: 'well', wants: () => true }]));
    const [now, until] = [0, 60_000].map((ms) => new Date(Date.now() + ms).toISOString()) as [string, string];
    expect(await take(now, until)).toHaveLength(1);
    expect(await take(now, until)).toEqual([]);
    expect(await take(until, until)).toMatchObject([{ tries: 2, firstTriedAt: now }]);
  });

  test('that are refused for good are parked, shown with the reason, and delivered when somebody asks for it', async () => {
    let gone = true;
    const closed = await receiver((response) => response.writeHead(gone ? 410 : 200).end());
    await webhook('closed', closed.url);
    await emit('one', 'Alert');
    await emit('one', 'BackupFailed');
    deliver();
    const { inventory } = database;
    await expect.poll(async () => (await deliveries.counts(inventory.db, 'closed')).parked).toBe(2);
    expect(await deliveries.missed(inventory.db, 'closed')).toMatchObject([
      { type: 'Alert', state: 'parked', tries: 1, reason: 'it answered 410' },
      { type: 'BackupFailed', state: 'parked' },
    ]);
    gone = false;
    expect(await inventory.transaction(async (trx) => await deliveries.resume(trx, 'closed'))).toBe(2);
    await expect.poll(async () => (await deliveries.counts(inventory.db, 'closed')).delivered).toBe(2);
  });
});
