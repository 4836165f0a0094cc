import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openStores } from '../../src/client/open.js';
import { makeRecoveryKey } from '../../src/client/recovery-key.js';
import { openKeyring } from '../../src/inventory/keyring-file.js';
import { openFromRecovery, sealToRecovery } from '../../src/inventory/recovery.js';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'chom-recovery-'));
});
afterEach(async () => await rm(home, { recursive: true, force: true }));

async function make(said: string[]): Promise<void> {
  const stores = await openStores({ CHOM_HOME: home });
  try {
    await makeRecoveryKey(stores, (text) => said.push(text));
  } finally {
    await stores.inventory.close();
  }
}

test('is shown once, and opens what was sealed to it', async () => {
  const said: string[] = [];
  await make(said);
  await make(said);
  expect(said).toHaveLength(1);
  const shown = /CHOM-RECOVERY-PRIVATE-\S+/.exec(said.join())?.[0] ?? '';
  const { recovery = '' } = await openKeyring(home);
  const sealed = sealToRecovery(recovery, Buffer.from('the key of a server'));
  expect(openFromRecovery(shown, sealed).toString()).toBe('the key of a server');
});

test('is written only after it was shown: who stops before that has made none', async () => {
  const stores = await openStores({ CHOM_HOME: home });
  const stopped = makeRecoveryKey(stores, () => {
    throw new Error('stopped while it is shown');
  });
  await expect(stopped).rejects.toThrow('stopped while it is shown');
  await stores.inventory.close();
  expect((await openKeyring(home)).recovery).toBeUndefined();
  const said: string[] = [];
  await make(said);
  expect(said).toHaveLength(1);
});

test('is made by one of several who need it at once', async () => {
  const said: string[] = [];
  await Promise.all(Array.from({ length: 5 }, async () => await make(said)));
  expect(said).toHaveLength(1);
});

test('says whose lock is in the way when nobody makes it', async () => {
  await openKeyring(home);
  await writeFile(join(home, 'keyring.json.lock'), '');
  await expect(make([])).rejects.toMatchObject({
    type: 'Conflict',
    details: [{ next: expect.stringMatching('rm|remove') as string }],
  });
}, 15_000);
