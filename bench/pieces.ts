import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { createHosts } from '../src/host/pool.js';
import { sh } from '../src/host/shell.js';
import { controllerId } from '../src/inventory/keys.js';
import { serverLogin } from '../src/inventory/logins.js';
import * as servers from '../src/inventory/servers.js';
import { heading, seconds, say } from './report.js';
import { median, timed } from './rounds.js';
import { SERVER, type Setting } from './setting.js';

const TIMES = 30;

/** What each of the things costs that a step is made of. */
export async function measurePieces({ rig, chom }: Setting): Promise<void> {
  heading(`What a step is made of, each by itself, median of ${TIMES}`);
  const { inventory, keyring, tenant } = chom;
  const { id } = await servers.byName(inventory.db, tenant, SERVER);
  const log = { info: () => undefined };
  const hosts = createHosts({ resolve: async (server) => await serverLogin(inventory.db, keyring, server), log });
  const file = await open(join(rig.home, 'bench'), 'w');
  const claim = { controller: await controllerId(inventory), scope: 'site/sbench', root: 'bench', epoch: 1 };
  const host = await hosts.for(id);
  const job = { claim, operation: 'bench', attempt: '1', limitSeconds: 60 };
  let n = 0;
  const pieces: Record<string, () => Promise<unknown>> = {
    'a synced write to this disk': async () => {
      await file.write('x');
      await file.sync();
    },
    'a transaction of the inventory': async () =>
      await inventory.transaction(async (trx) => await servers.setStatus(trx, id, 'active')),
    'where a server is, and its key': async () => await hosts.for(id),
    'a script that only reads, over SSH': async () => await host.read(sh`true`),
    'a job whose check says "already"': async () =>
      await host.job({ ...job, step: `${(n += 1)}`, check: sh`true`, act: sh`true` }),
    'a job that does nothing': async () => await host.job({ ...job, step: `${(n += 1)}`, act: sh`true` }),
    'a job that does nothing, boxed': async () =>
      await host.job({ ...job, step: `${(n += 1)}`, act: sh`true`, properties: ['PrivateTmp=yes'] }),
  };
  try {
    const width = Math.max(...Object.keys(pieces).map((name) => name.length));
    for (const [name, act] of Object.entries(pieces)) {
      const times: number[] = [];
      await act();
      for (let turn = 0; turn < TIMES; turn += 1) times.push(await timed(act));
      say(`  ${name.padEnd(width)}  ${seconds(median(times))}`);
    }
  } finally {
    await file.close();
    await hosts.close();
  }
}
