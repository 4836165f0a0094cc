import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { sealedDataConverter } from '../../src/client/connection.js';
import { Keyring } from '../../src/inventory/keyring.js';

const histories = fileURLToPath(new URL('histories/', import.meta.url));
const releases = readdirSync(histories);

beforeAll(() => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
});

test('there is a history of each release', () => {
  expect(releases).toContain('0.1.0');
});

describe.each(releases)('operations of release %s go on with this one', (release) => {
  const read = (file: string) => readFileSync(`${histories}${release}/${file}`, 'utf8');
  const names = readdirSync(`${histories}${release}`).filter((file) => file.endsWith('.id'));

  test.each(names.map((file) => file.replace(/\.id$/, '')))('%s', async (name) => {
    const history = historyFromJSON(JSON.parse(read(`${name}.json`)));
    const dataConverter = sealedDataConverter(Keyring.fromObject(JSON.parse(read('keyring.json'))));
    const workflowBundle = { codePath: inject('workflowBundle') };
    const options = { workflowBundle, dataConverter, replayName: name };
    // Rejects where the workflow would do something else.
    await expect(Worker.runReplayHistory(options, history, read(`${name}.id`))).resolves.toBeUndefined();
  });
});
