import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { randomId, submit } from '../../src/client/submit.js';
import { retryOperation } from '../../src/client/retry-operation.js';
import { rotateCredentials } from '../../src/client/rotate-credentials.js';
import { tryOwed } from '../../src/client/tries.js';
import type { Chom } from '../../src/client/open.js';
import * as credentials from '../../src/inventory/credentials.js';
import * as events from '../../src/inventory/events.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import * as tries from '../../src/inventory/tries.js';
import { UNDO } from '../../src/workflows/plans.js';
import { OLD_KEY, rotationPlan, type RotationPlan } from '../../src/workflows/rotation-plan.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { keyHost, type KeyHost, OPTIONS, THEIRS, type Trouble } from './key-host.js';
import { timersOf } from './timers.js';

/** Of the clocks that watch for twice the expected times. */
const CLOCKS = [600, 240];

let chom: WorkflowEnvironment;
let host: KeyHost;
beforeAll(async () => {
  chom = await startEnvironment(inject('workflowBundle'));
});
afterAll(async () => await chom?.close());
beforeEach(async () => {
  host = await keyHost(chom, `srv-${randomId(6)}`);
});
afterEach(() => host.home.close());

const plan = (more: Partial<RotationPlan> = {}): RotationPlan => ({
  ...{ server: host.server, tenant: 'default', name: host.server, emergency: false, overlapHours: 24 },
  ...more,
});
const client = (): Chom => ({ ...chom, tenant: 'default', temporal: async () => chom.temporal, close: async () => {} });
const first = () => `server-key/${host.server}/first`;
const current = async () => (await credentials.current(chom.inventory.db, host.server, 'server-key'))?.id ?? '';
const stored = async () => (await credentials.list(chom.inventory.db, host.server)).map(({ id }) => id);

/** Waits until an operation has ended, and says how. */
async function ended(id: string) {
  await chom.temporal.workflow
    .getHandle(id)
    .result()
    .catch(() => undefined);
  const timers = timersOf(await chom.replayed(id));
  const row = await operations.byId(chom.inventory.db, id);
  const emitted = (await events.list(chom.inventory.db, { operation: id })).map(({ type }) => type);
  return { id, row, waits: timers.filter((seconds) => !CLOCKS.includes(seconds)), emitted };
}

async function rotate(more: Partial<RotationPlan> = {}, trouble: Trouble = () => null) {
  host.trouble = trouble;
  host.contacts = 0;
  const about = { tenant: 'default', server: host.server, serverName: host.server, summary: 'rotate' };
  const request = { ...about, kind: 'rotate-credentials', input: plan(more), exclusive: true } as const;
  return await chom.withWorker(host.activities, async () => await ended(await submit(chom, request)));
}

/** Has what the operation owes tried now. */
async function tried(operation: string, name: string, trouble: Trouble = () => null) {
  host.trouble = trouble;
  host.contacts = 0;
  const key = { operation, name };
  const before = (await obligations.find(chom.inventory.db, key))?.tries ?? 0;
  await chom.inventory.transaction((trx) => obligations.postpone(trx, key, new Date().toISOString()));
  return await chom.withWorker(host.activities, async () => {
    await tryOwed(chom);
    return await ended(tries.tryId(key, before + 1));
  });
}
const backUp = async () =>
  await chom.inventory.transaction(async (trx) => await credentials.markBackedUp(trx, await credentials.ids(trx)));

/** As it is to be: of CHOM's own, these alone are kept, and all of them get in. */
async function expectKeys(...ids: string[]): Promise<void> {
  expect((await stored()).toSorted()).toEqual(ids.toSorted());
  expect((await host.takes()).toSorted()).toEqual(ids.toSorted());
  const lines = host.home.text().split('\n');
  expect(lines.slice(0, 2).join('\n')).toBe(THEIRS.trimEnd());
  expect(lines.slice(2, -1).filter((line) => !line.startsWith(`${OPTIONS}ssh-ed25519 `))).toEqual([]);
  expect(lines).toHaveLength(3 + ids.length);
  expect(host.lockedOut).toEqual([]);
}

describe('a rotation', () => {
  test('[RC-03] [RC-09] [EV-01/CredentialsRotated] asked for without a word about what to do, rotates, before others, and the old key gets in for a day', async () => {
    const { id, row, waits, emitted } = await chom.withWorker(host.activities, async () => {
      const { operation } = await rotateCredentials(client(), { server: host.server });
      return await ended(operation);
    });
    expect(row).toMatchObject({ outcome: 'succeeded', committed: true, priority: 'high' });
    expect(row.warnings).toEqual(['There is no recovery key: the server key is kept by this controller alone']);
    expect(waits).toEqual([]);
    expect(emitted).toEqual(['CredentialsRotated']);
    const { events: recorded } = await chom.temporal.workflow.getHandle(id).fetchHistory();
    expect(recorded?.[0]?.workflowExecutionStartedEventAttributes?.priority?.priorityKey).toBe(1);
    expect(await current()).toBe(`server-key/${host.server}/${id}`);
    await expectKeys(first(), await current());
    expect(host.refused).toEqual([]);
    const [owed] = await obligations.ofOperation(chom.inventory.db, id);
    expect(owed).toMatchObject({ name: OLD_KEY, state: 'open', targets: { old: first(), by: await current() } });
    const hours = (Date.parse(owed?.due ?? '') - Date.parse(row.endedAt ?? '')) / 3_600_000;
    expect(Math.round(hours)).toBe(24);
  });

  test('in an emergency has every key removed that was replaced, and sees them refused', async () => {
    const { id: before } = await rotate();
    const { row, emitted, id } = await rotate({ emergency: true });
    expect(row).toMatchObject({ outcome: 'succeeded' });
    expect(emitted).toEqual(['CredentialsRotated', 'CredentialsRetired']);
    await expectKeys(await current());
    expect(host.refused).toHaveLength(2);
    expect(await obligations.find(chom.inventory.db, { operation: id, name: OLD_KEY })).toMatchObject({
      state: 'done',
    });
    expect(await obligations.find(chom.inventory.db, { operation: before, name: OLD_KEY })).toMatchObject({
      state: 'void',
    });
  });

  test('[RC-02] [FS-13] [FS-16] is tried three times, 30 s apart; [RC-07] [EV-01/CredentialsRotationFailed] then a critical event and a security alert, once', async () => {
    const { id, row, waits, emitted } = await rotate({}, () => 'Unreachable');
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'Unreachable' });
    expect(waits).toEqual([30, 30]);
    expect(host.contacts).toBe(3);
    expect(emitted).toEqual(['CredentialsRotationFailed', 'Alert']);
    const [failed, alert] = await events.list(chom.inventory.db, { operation: id });
    expect(failed?.data).toMatchObject({ severity: 'critical', kind: 'rotate-credentials', type: 'Unreachable' });
    expect(alert?.data).toMatchObject({ severity: 'critical', area: 'security', about: 'CredentialsRotationFailed' });
    await expectKeys(first());
    const again = await rotate({}, (n) => (n === 0 ? 'ConnectionLost' : null));
    expect(again).toMatchObject({ row: { outcome: 'succeeded' }, waits: [30] });
  });

  test('[FS-14] refused, logs in once and no more', async () => {
    const before = host.home.text();
    host.home.write(THEIRS);
    const { row, waits, emitted } = await rotate();
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'LoginRefused' });
    expect([waits, host.refused]).toEqual([[], [first()]]);
    expect(emitted).toEqual(['CredentialsRotationFailed', 'Alert']);
    host.home.write(before);
    host.lockedOut.length = 0;
    await expectKeys(first());
  });

  test('that failed is asked for again as it was', async () => {
    const { id } = await rotate({ emergency: true }, () => 'HostKeyMismatch');
    host.trouble = () => null;
    const again = await chom.withWorker(host.activities, async () => await ended(await retryOperation(client(), id)));
    expect(again).toMatchObject({ row: { outcome: 'succeeded', priority: 'high' } });
    expect(again.emitted).toEqual(['CredentialsRotated', 'CredentialsRetired']);
    await expectKeys(await current());
  });

  test('where authorized_keys is not what lets us in changes nothing', async () => {
    const before = host.home.text();
    const { row } = await rotate({}, (n) => {
      if (n === 1) host.home.write(before.replace(OPTIONS, `# ${OPTIONS}`));
      return null;
    });
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'UnsupportedHost' });
  });
});

describe('[RC-06] whatever befalls it, wherever', () => {
  /** What it still owes is tried. Returns how that went; null: it owes nothing. */
  async function settled(id: string): Promise<string | null> {
    const [owed] = await obligations.ofOperation(chom.inventory.db, id);
    return owed?.state === 'open' ? `${owed.name} ${(await tried(id, owed.name)).row.outcome}` : null;
  }

  test.each<[string, (at: number) => Trouble]>([
    ['an error nobody expected', (at) => (n) => (n === at ? new TypeError('nobody thought of this') : null)],
    ['a server that is away from then on', (at) => (n) => (n >= at ? 'HostKeyMismatch' : null)],
  ])(
    'a current key gets in, and it ends well or as if it had not been: %s',
    async (what, befall) => {
      await rotate({ emergency: true });
      const { contacts } = host;
      expect(contacts).toBeGreaterThan(12);
      const ends: (string | null)[] = [];
      for (let at = 0; at < contacts; at += 1) {
        host.home.close();
        host = await keyHost(chom, `srv-${randomId(6)}`);
        const { id, row, emitted } = await rotate({ emergency: true }, befall(at));
        const { committed } = row;
        const where = `${what}, at ${at}`;
        expect(row.outcome, where).toBe(committed ? 'succeeded' : 'failed');
        expect(emitted[0], where).toBe(committed ? 'CredentialsRotated' : 'CredentialsRotationFailed');
        expect(await host.takes(), where).toContain(await current());
        expect([null, committed ? `${OLD_KEY} succeeded` : `${UNDO} succeeded`], where).toContain(await settled(id));
        expect(await current(), where).toBe(committed ? `server-key/${host.server}/${id}` : first());
        await expectKeys(await current());
        ends.push(row.outcome);
      }
      // What happens once is tried again.
      expect(ends.includes('failed')).toBe(!what.startsWith('an error'));
    },
    600_000,
  );
});

describe('the removal of the old key', () => {
  test('waits for a backup of CHOM that holds the new one', async () => {
    const { id } = await rotate();
    const key = { operation: id, name: OLD_KEY };
    await chom.inventory.transaction((trx) => credentials.markBackedUp(trx, [first()]));
    for (let n = 1; n <= 2; n += 1) {
      const { row, emitted, waits } = await tried(id, OLD_KEY);
      expect(row).toMatchObject({ outcome: 'failed', failureType: 'NotBackedUp', priority: 'low' });
      expect([emitted, waits]).toEqual([['CredentialsRetirementFailed', 'Alert'], []]);
      expect(await obligations.find(chom.inventory.db, key)).toMatchObject({ state: 'open', tries: n });
    }
    await expectKeys(first(), await current());
    await backUp();
    const { row, emitted } = await tried(id, OLD_KEY);
    expect(row).toMatchObject({ outcome: 'succeeded', warnings: [] });
    expect(emitted).toEqual(['CredentialsRetired']);
    expect(host.refused).toEqual([first()]);
    await expectKeys(await current());
    expect(await obligations.find(chom.inventory.db, key)).toMatchObject({ state: 'done' });
  });

  test('that somebody cancelled is owed again by the next rotation', async () => {
    const { id } = await rotate();
    const key = { operation: id, name: OLD_KEY };
    await chom.inventory.transaction(async (trx) => await obligations.close(trx, key, 'void'));
    const second = await rotate();
    expect(second.row).toMatchObject({ outcome: 'succeeded' });
    await backUp();
    for (const operation of [id, second.id]) {
      expect(await obligations.find(chom.inventory.db, { operation, name: OLD_KEY })).toMatchObject({ state: 'open' });
      expect((await tried(operation, OLD_KEY)).row).toMatchObject({ outcome: 'succeeded' });
    }
    await expectKeys(await current());
  });

  test('does not begin where the new key does not get in, and fails where the old one still does', async () => {
    const { id } = await rotate();
    await backUp();
    const before = host.home.text();
    const [mine] = (await credentials.list(chom.inventory.db, host.server)).filter(({ state }) => state === 'current');
    host.home.write(before.replace(mine?.public ?? '', ''));
    expect((await tried(id, OLD_KEY)).row).toMatchObject({ outcome: 'failed', failureType: 'LoginRefused' });
    host.lockedOut.length = 0;
    // It comes back by itself, as where another file is read too.
    host.home.write(before);
    const { row, waits } = await tried(id, OLD_KEY, () => {
      if (!host.home.text().includes(' chom')) return null;
      const old = before.split('\n')[2] ?? '';
      if (host.contacts > 5 && !host.home.text().includes(old)) host.home.write(`${host.home.text()}${old}\n`);
      return null;
    });
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'ProbeFailed' });
    expect(waits).toEqual([30, 30]);
    await expectKeys(first(), await current());
    expect((await tried(id, OLD_KEY)).row).toMatchObject({ outcome: 'succeeded' });
    await expectKeys(await current());
  });

  test('wherever the server goes away, a current key gets in, and it is done in the end', async () => {
    const { id } = await rotate();
    await backUp();
    const owes = async (operation: string) => await obligations.find(chom.inventory.db, { operation, name: UNDO });
    const left: string[][] = [];
    const undone: (string | null)[] = [];
    for (let at = 0; ; at += 1) {
      const { row } = await tried(id, OLD_KEY, (n) => (n >= at ? 'HostKeyMismatch' : null));
      if (row.outcome === 'succeeded') break;
      if ((await owes(row.id))?.state === 'open') undone.push((await tried(row.id, UNDO)).row.outcome);
      left.push(await host.takes());
    }
    expect(left).toHaveLength(8);
    expect(new Set(left.map((ids) => ids.toSorted().join(' ')))).toEqual(
      new Set([[first(), await current()].toSorted().join(' ')]),
    );
    expect(new Set(undone)).toEqual(new Set(['succeeded']));
    await expectKeys(await current());
  }, 600_000);
});

test('[RC-08] its input survives Temporal', () => {
  const asked = plan({ emergency: true, overlapHours: 720 });
  expect(rotationPlan.parse(JSON.parse(JSON.stringify(asked)))).toEqual(asked);
  expect(rotationPlan.safeParse({ ...asked, privateKey: 'x' }).success).toBe(false);
});
