import type { AddressInfo } from 'node:net';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startCodecServer } from '../../src/client/codec-server.js';
import { sealedDataConverter } from '../../src/client/connection.js';
import { newOperationId, type Request, submit } from '../../src/client/submit.js';
import { Keyring } from '../../src/inventory/keyring.js';
import * as operations from '../../src/inventory/operations.js';
import * as servers from '../../src/inventory/servers.js';
import { workflowType } from '../../src/workflows/names.js';
import { rawHistories, readable, sealedPayloads, withoutSearchAttributes } from './histories.js';
import { type Rig, startRig } from './rig.js';

const DOMAIN = 'confidential.lab.test';

let rig: Rig;
let ids: string[];
beforeAll(async () => {
  rig = await startRig({ hosts: [{ name: 'web1' }], acme: true });
  await rig.startWorker();
  await rig.enrol(rig.lab.host('web1'));
  await rig.lab.acme.setAddress(DOMAIN, { a: ['198.19.255.1'] });
  const made = await rig.chom.must('site', 'create', DOMAIN, '--server', 'web1', '--json');
  const failed = await rig.chom('certificate', 'issue', DOMAIN, '--json');
  ids = [made.json?.operation ?? '', failed.json?.operation ?? ''];
});
afterAll(async () => await rig?.down());

/** Words of arguments, results, summaries, timers, failures, and of the details that the Temporal UI shows. */
const words = () => [
  DOMAIN,
  rig.lab.host('web1').address,
  '198.19.255.1',
  'Create user and directories',
  'Point the A record',
];

describe('what Temporal keeps', () => {
  test('[SE-01] holds nothing that can be read, but the search attributes', async () => {
    const histories = await rawHistories(rig);
    for (const id of ids) expect(JSON.stringify(histories)).toContain(id);
    const text = readable(withoutSearchAttributes(histories));
    for (const word of [...words(), 'json/plain']) expect(text).not.toContain(word);
    for (const name of (await readdir(rig.home)).filter((one) => one.startsWith('temporal.db'))) {
      const content = await readFile(join(rig.home, name), 'latin1');
      for (const word of words().slice(1)) expect(content).not.toContain(word);
    }
  });

  test('[SE-01] is opened by the codec server, for the pages of the Temporal UI alone', async () => {
    const ui = 'http://127.0.0.1:8233';
    const server = await startCodecServer(rig.keyring, { port: 0, option: '--port' }, [ui]);
    try {
      const { port } = server.address() as AddressInfo;
      const body = JSON.stringify({ payloads: sealedPayloads(await rawHistories(rig)) });
      const ask = async (headers: Record<string, string>) =>
        await fetch(`http://127.0.0.1:${port}/decode`, {
          ...{ method: 'POST', body },
          headers: { 'content-type': 'application/json', ...headers },
        });
      const answer = await ask({ origin: ui });
      expect(answer.headers.get('access-control-allow-origin')).toBe(ui);
      const text = readable(await answer.json());
      for (const word of words()) expect(text).toContain(word);
      for (const origin of ['http://evil.example', 'http://127.0.0.1:8234', 'null']) {
        const refused = await ask({ origin });
        expect([refused.status, await refused.text()]).toEqual([403, '']);
        expect(refused.headers.get('access-control-allow-origin')).toBeNull();
      }
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});

describe('messages of strangers', () => {
  /** One who reaches Temporal and has no key, one who has another key. */
  const strangers = () => {
    const { connection } = rig.temporal;
    const dataConverter = sealedDataConverter(Keyring.fromObject(Keyring.generate()));
    return { plain: new Client({ connection }), otherKey: new Client({ connection, dataConverter }) };
  };

  test.each(['plain', 'otherKey'] as const)(
    '[SE-01] an order that is %s is refused, and fails its operation',
    async (who) => {
      const { address, namespace } = rig.temporal;
      const temporal = Object.assign(strangers()[who], { address, namespace });
      const operation = await submit({ ...rig, temporal }, await request());
      const { exit, json } = await rig.chom('op', 'watch', operation, '--json');
      expect(exit).toBe(1);
      expect(json?.error).toMatchObject({
        type: 'InvalidInput',
        message: expect.stringContaining('not sealed') as string,
      });
      await rig.replayed(operation);
    },
  );

  test('[SE-01] a workflow that nobody asked the inventory for ends, and writes nothing', async () => {
    const known = (await operations.list(rig.inventory.db)).length;
    for (const client of [...Object.values(strangers()), rig.temporal]) {
      const id = newOperationId('provision-site');
      const { input } = await request();
      const options = { workflowId: id, taskQueue: rig.config.taskQueue, args: [{ operation: id, input }] };
      await client.workflow.start(workflowType('provision-site'), options);
      const handle = rig.temporal.workflow.getHandle(id);
      await expect(handle.result()).rejects.toMatchObject({ cause: { type: 'NotFound' } });
    }
    expect(await operations.list(rig.inventory.db)).toHaveLength(known);
  });

  test('[SE-01] signals and queries block nobody: the operation ends well, and others too', async () => {
    await rig.stopWorker();
    const operation = await submit(rig, await request());
    for (const client of Object.values(strangers())) {
      const handle = client.workflow.getHandle(operation);
      await handle.signal('answer', 'host-key', { not: 'text' });
      await handle.signal('answer', 'host-key', 'yes');
      await handle.signal('no-such-signal', 'x'.repeat(1000));
    }
    await rig.startWorker();
    const query = async () => await strangers().plain.workflow.getHandle(operation).query('no-such-query', 'x');
    // Until the worker has asked for work Temporal itself refuses.
    const refused = async () => await query().then(String, (error: unknown) => String(error));
    await expect.poll(refused).toContain('Encoded failure');
    const ended = await rig.chom('op', 'watch', operation, '--json');
    expect(ended).toMatchObject({ exit: 0, json: { status: 'succeeded' } });
    await rig.replayed(operation);
    const other = await rig.chom.must('site', 'create', 'other.lab.test', '--server', 'web1', '--no-tls', '--json');
    expect(other.json).toMatchObject({ site: { status: 'active' } });
  });
});

describe('[SE-03] what is too large', () => {
  test('is refused on the command line, and nothing is written', async () => {
    const known = (await operations.list(rig.inventory.db)).length;
    const create = ['site', 'create', 'large.lab.test', '--server', 'web1', '--no-tls', '--json'];
    const aliases = Array.from({ length: 100 }, (_, n) => ['--alias', `${'a'.repeat(60)}${n}.lab.test`]).flat();
    for (const more of [
      aliases,
      ['--from', `https://git.lab.test/${'a'.repeat(3000)}`],
      ['--alias', 'a'.repeat(60_000)],
    ]) {
      const { exit, json } = await rig.chom(...create, ...more);
      expect(exit).toBe(2);
      expect(json?.error).toMatchObject({ type: 'InvalidInput' });
    }
    expect(await operations.list(rig.inventory.db)).toHaveLength(known);
  });

  test('is refused by the client before anything is written', async () => {
    const order = await request();
    const oversized = { ...order, input: { ...order.input, padding: 'x'.repeat(3_000_000) } };
    const id = newOperationId('provision-site');
    await expect(submit(rig, oversized, id)).rejects.toMatchObject({ type: 'InvalidInput' });
    expect(await operations.find(rig.inventory.db, id)).toBeNull();
  });
});

let made = 0;

async function request(): Promise<Request> {
  const { id: server } = await servers.byName(rig.inventory.db, 'default', 'web1');
  const site = `smessage${'abcdefghijkl'[made++]}a`;
  const common = { tenant: 'default', server, serverName: 'web1', domain: `${site}.lab.test` };
  const plan = { site, aliases: [], type: 'static', php: null, tls: false, source: { kind: 'placeholder' } };
  return { kind: 'provision-site', input: { ...common, ...plan }, summary: 'A site', ...common, site };
}
