import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { keyringFile } from '../../src/inventory/keyring-file.js';
import { startRig, type Rig } from '../lab/rig.js';

/**
 * Records the histories of a release, on lab hosts: `node --import tsx test/replay/record.ts VERSION [OPERATION…]`. They
 * are kept sealed, as Temporal has them, beside the keyring of the lab that made them, which opens nothing else; what is
 * recorded later, with another keyring, is a directory of its own.
 */
const [version, ...only] = process.argv.slice(2);
if (version === undefined) throw new Error('usage: record.ts VERSION [OPERATION…]');
const directory = fileURLToPath(new URL(`histories/${version}`, import.meta.url));

async function record(rig: Rig, name: string, operation: string): Promise<void> {
  if (only.length > 0 && !only.includes(name)) return;
  const history = await rig.temporal.workflow.getHandle(operation).fetchHistory();
  await writeFile(join(directory, `${name}.json`), historyToJSON(history));
  await writeFile(join(directory, `${name}.id`), operation);
}

const hosts = [{ name: 'web1' }, { name: 'store1', store: true }];
const rig = await startRig({ hosts, acme: true });
try {
  await mkdir(directory, { recursive: true });
  await rig.startWorker();
  const web1 = rig.lab.host('web1');
  const enrolled = await rig.enrol(web1);
  await rig.lab.acme.setAddress('www.lab.test', { a: [web1.address] });
  const site = ['site', 'create', 'www.lab.test', '--server', 'web1', '--type', 'php', '--database', '--json'];
  const provisioned = (await rig.chom(...site)).json?.operation ?? '';
  const refused = await rig.chom('site', 'create', 'no.lab.test', '--server', 'web1', '--json');
  await rig.enrol(rig.lab.store.host);
  const { rest, caFile, restPath } = rig.lab.store;
  const where = ['--repository', rest, '--ca', caFile, '--maintain', `store1:${restPath}`];
  await rig.chom.must('storage', 'add', 'store', ...where);
  const backedUp = await rig.chom.must('backup', 'create', 'www.lab.test', '--json');
  await record(rig, 'create-backup', backedUp.json?.operation ?? '');
  await record(rig, 'enrol-server', enrolled.json?.operation ?? '');
  await record(rig, 'provision-site', provisioned);
  await record(rig, 'issue-certificate', `${provisioned}/certificate`);
  await record(rig, 'provision-site-certificate-failed', refused.json?.operation ?? '');
  await record(rig, 'issue-certificate-failed', `${refused.json?.operation}/certificate`);
  await copyFile(keyringFile(rig.home), join(directory, 'keyring.json'));
} finally {
  await rig.down();
}
