import { expect, test } from 'vitest';
import type { Trx } from '../../src/inventory/database.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import * as tags from '../../src/inventory/tags.js';
import { failureOf, onBothDatabases } from './databases.js';
import { activeServer, sitePlan } from './records.js';

onBothDatabases('Tags', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);

  test('of a site and of a server are kept apart, in order, each once', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    const site = await write((trx) => sites.reserve(trx, sitePlan('sone', 'example.org'), 'made-it'));
    expect(site.tags).toEqual([]);
    const change = (of: 'sites' | 'servers', id: string, said: tags.TagChange) =>
      write((trx) => tags.change(trx, of, id, said));
    expect(await change('sites', 'sone', { add: ['shop', 'live', 'shop'] })).toEqual(['live', 'shop']);
    expect(await change('servers', 'web1', { add: ['eu'] })).toEqual(['eu']);
    expect(await change('sites', 'sone', { add: ['live', 'new'], remove: ['shop', 'never'] })).toEqual(['live', 'new']);
    const { db } = database.inventory;
    expect((await sites.byId(db, 'sone')).tags).toEqual(['live', 'new']);
    expect((await servers.byId(db, 'web1')).tags).toEqual(['eu']);
    expect(tags.hasTags({ tags: ['live', 'new'] }, ['new', 'live'])).toBe(true);
    expect(tags.hasTags({ tags: ['live', 'new'] }, ['new', 'eu'])).toBe(false);
  });

  test('that are given at once all stay, and there are 50 at most', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    const names = Array.from({ length: 50 }, (_, n) => `t${n}`);
    const give = async (add: string[]) => await write((trx) => tags.change(trx, 'servers', 'web1', { add }));
    await Promise.all([0, 10, 20, 30, 40].map((from) => give(names.slice(from, from + 10))));
    expect((await servers.byId(database.inventory.db, 'web1')).tags).toEqual(names.toSorted());
    expect(await failureOf(give(['more']))).toMatchObject({ type: 'Conflict' });
    expect(await give(['t1'])).toHaveLength(50);
  });
});
