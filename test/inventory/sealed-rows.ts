import { Readable } from 'node:stream';
import * as batches from '../../src/inventory/batches.js';
import * as batchItems from '../../src/inventory/batch-items.js';
import * as credentials from '../../src/inventory/credentials.js';
import type { Inventory } from '../../src/inventory/database.js';
import type { Keyring } from '../../src/inventory/keyring.js';
import * as operations from '../../src/inventory/operations.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as rotation from '../../src/inventory/repository-rotation.js';
import * as secrets from '../../src/inventory/secrets.js';
import * as storages from '../../src/inventory/storages.js';
import * as undos from '../../src/inventory/undos.js';
import * as uploads from '../../src/inventory/uploads.js';
import * as webhooks from '../../src/inventory/webhooks.js';
import { provision } from './records.js';
import { sftpStorage } from './storage-records.js';

const LOGIN = { kind: 'sftp', privateKey: 'open sesame', public: 'ssh-ed25519 AAAA chom' } as const;
const REPOSITORY = repositories.repositoryId('store', null);
const TEXT = 'sesame';

/** One value at least in each column that holds something sealed, and `many` in one of them. */
export async function sealEverywhere(inventory: Inventory, keyring: Keyring, many = 1): Promise<void> {
  await inventory.transaction(async (trx) => {
    for (let n = 0; n < many; n += 1) {
      const key = {
        id: `key-${String(n).padStart(4, '0')}`,
        server: null,
        kind: 'acme-account',
        public: null,
      } as const;
      await credentials.put(trx, keyring, { ...key, secret: Buffer.from(`${TEXT} ${n}`), state: 'current' });
    }
    const asked = provision('provision-site-1', { input: { word: TEXT }, server: null, site: null });
    await operations.ask(trx, keyring, asked);
    const step = { operation: asked.id, step: 3, label: 'A step' };
    await undos.journal(trx, keyring, step, { activity: 'takeBack', args: [TEXT] });
    await secrets.put(trx, keyring, { operation: asked.id, name: 'word' }, Buffer.from(TEXT));
    const keeper = { url: 'sftp://keeper@198.18.0.9:22//data', login: LOGIN };
    await storages.add(trx, keyring, sftpStorage('store', 'store', { maintain: keeper }));
    const repository = { storage: 'store', site: null, url: 'sftp://store@198.18.0.9:22//data/trial', login: LOGIN };
    await repositories.add(trx, keyring, { ...repository, password: Buffer.from('first') });
    await rotation.keepNext(trx, keyring, REPOSITORY, { password: Buffer.from('second'), login: LOGIN });
    await rotation.adoptNext(trx, keyring, REPOSITORY);
    await rotation.keepNext(trx, keyring, REPOSITORY, { password: Buffer.from('third'), login: LOGIN });
    const rules = { concurrency: 1, perServer: null, canary: null, failures: null };
    const batch = { id: 'batch-1', kind: 'batch', name: 'one', tenant: 'default', priority: 'low', rules } as const;
    await batches.add(trx, { ...batch, taskQueue: 'chom', cluster: 'test', namespace: 'default' });
    const item = { phase: 'item', ordinal: 1, verb: 'backup.create', target: 'a.example', server: null } as const;
    await batchItems.add(trx, keyring, batch.id, [{ ...item, input: { word: TEXT } }]);
    const receiver = { id: 'hook', tenant: null, name: 'hook', url: 'https://example.org/', events: [] };
    await webhooks.add(trx, keyring, { ...receiver, allowPrivate: false, secret: Buffer.from(TEXT) });
  });
  const content = Readable.from([Buffer.alloc(1_500_000, TEXT)]);
  await uploads.put({ inventory, keyring }, 'provision-site-1', content, { limitBytes: 2_000_000 });
}

/** Everything that was sealed so, opened by whoever opens it in the product. */
export async function openEverything({ db }: Inventory, keyring: Keyring): Promise<unknown[]> {
  const opened: unknown[] = [];
  const all = await db.selectFrom('credentials').selectAll().orderBy('id').execute();
  opened.push(...all.map((one) => credentials.open(one, keyring).toString()));
  const operation = await operations.byId(db, 'provision-site-1');
  opened.push(operations.openInput(operation, keyring), await undos.list(db, keyring, operation.id));
  opened.push((await secrets.open(db, keyring, { operation: operation.id, name: 'word' })).toString());
  const storage = await storages.byId(db, 'store');
  opened.push(storages.sharedLogin(storage, keyring), storages.maintenanceLogin(storage, keyring));
  const repository = await repositories.byId(db, REPOSITORY);
  opened.push(repositories.passwordOf(repository, keyring), repositories.loginOf(repository, storage, keyring));
  opened.push(rotation.nextOf(repository, keyring), rotation.oldPasswordOf(repository, keyring));
  opened.push((await webhooks.opened(db, keyring, 'hook'))?.secret.toString());
  opened.push(...(await batchItems.list(db, 'batch-1')).map((one) => batchItems.openInput(one, keyring)));
  for await (const bytes of uploads.read(db, keyring, operation.id)) opened.push(bytes.toString());
  return opened;
}
