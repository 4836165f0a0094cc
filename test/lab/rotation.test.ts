import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { sh } from '../../src/host/shell.js';
import * as events from '../../src/inventory/events.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import { ask } from './on-host.js';
import { type Rig, startRig } from './rig.js';
import { serverKeys } from './server-keys.js';
import { eventsOf, stepsDone } from './storm.js';

let rig: Rig;
let web1: LabHost;
let keys: ReturnType<typeof serverKeys>;
beforeAll(async () => {
  rig = await startRig({ hosts: [{ name: 'web1' }] });
  web1 = rig.lab.host('web1');
  keys = serverKeys(rig, web1);
  await rig.startWorker();
  await rig.enrol(web1, '--smtp-relay', '127.0.0.1');
});
afterAll(async () => await rig?.down());

const row = async (id: string) => await operations.byId(rig.inventory.db, id);
const rotate = async (...words: string[]) =>
  await rig.chom('secrets', 'rotate', '--server', 'web1', '--json', ...words);
interface Rotated {
  rotated: { operation: string; status: string; key: string; replaced: string; error?: { type: string } }[];
}
const operationIn = (json: unknown) => (json as Rotated).rotated[0]?.operation ?? '';

test('[RC-01] [RC-04] [RC-05] [FS-15] the old key gets in until the new one is proven and the overlap is over', async () => {
  const { db } = rig.inventory;
  const old = await keys.current();
  // As operators leave the file: options before CHOM's key, lines of theirs, the last one not ended.
  const foreign = [
    '# keep ssh-ed25519 AAAA',
    '',
    'no-pty,command="echo \\"x, y\\"" ssh-ed25519 AAAAC3Nza someone@else',
  ];
  const options = 'from="198.18.0.0/15,127.0.0.1",no-agent-forwarding';
  const theirs = (await keys.file()).split('\n').filter((line) => line !== '' && line !== old.public);
  const before = [...foreign, ...theirs.slice(0, 1), `${options} ${old.public}`, ...theirs.slice(1), '# last'];
  await ask(web1, sh`printf %s ${before.join('\n')} >/root/.ssh/authorized_keys`);

  const { exit, json, stderr } = await rotate();
  expect(exit, stderr).toBe(0);
  const rotation = operationIn(json);
  expect(await row(rotation)).toMatchObject({ outcome: 'succeeded', committed: true, warnings: [], priority: 'high' });
  const current = await keys.current();
  expect(current.id).not.toBe(old.id);
  expect(await keys.file()).toBe(`${before.join('\n')}\n${options} ${current.public}\n`);
  const done = await stepsDone(rig, rotation);
  expect(done.indexOf('proveNextServerKey')).toBeLessThan(done.indexOf('adoptNextServerKey'));
  expect(await keys.getsIn(current)).toBe(true);
  expect(await keys.getsIn(old)).toBe(true);
  expect(await eventsOf(rig, rotation)).toEqual(['CredentialsRotated']);

  // A day later. Were the controller lost now, its backups would know the old key alone.
  const early = await keys.retire(rotation);
  expect(await row(early)).toMatchObject({ outcome: 'failed', failureType: 'NotBackedUp', warnings: [] });
  expect(await eventsOf(rig, early)).toEqual(['CredentialsRetirementFailed', 'Alert']);
  expect(await obligations.find(db, { operation: rotation, name: 'old-key' })).toMatchObject({
    state: 'open',
    tries: 1,
  });
  expect(await keys.getsIn(old)).toBe(true);

  await rig.chom.must('backup', 'database');
  const retired = await keys.retire(rotation);
  expect(await row(retired)).toMatchObject({ outcome: 'succeeded', committed: true, warnings: [] });
  expect(await obligations.find(db, { operation: rotation, name: 'old-key' })).toMatchObject({ state: 'done' });
  expect(await keys.file()).toBe(
    `${before.filter((line) => !line.endsWith(old.public ?? '')).join('\n')}\n${options} ${current.public}\n`,
  );
  expect(await keys.getsIn(current)).toBe(true);
  expect(await keys.getsIn(old)).toBe(false);
  expect((await keys.all()).map(({ id }) => id)).toEqual([current.id]);
  expect(await ask(web1, sh`ls /var/lib/chom/recovery`)).toBe(`${current.id.replaceAll('/', '-')}\n`);
  const [gone] = await events.list(db, { operation: retired });
  expect(gone).toMatchObject({
    type: 'CredentialsRetired',
    data: { keys: [(json as unknown as Rotated).rotated[0]?.replaced] },
  });
  for (const operation of [rotation, early, retired]) await rig.replayed(operation);
});
