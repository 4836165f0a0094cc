import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attempt } from '../../lab/command.js';
import type { LabHost } from '../../lab/index.js';
import { tryOwed } from '../../src/client/tries.js';
import * as credentials from '../../src/inventory/credentials.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as servers from '../../src/inventory/servers.js';
import * as tries from '../../src/inventory/tries.js';
import { OLD_KEY } from '../../src/workflows/rotation-plan.js';
import { ask } from './on-host.js';
import { sh } from '../../src/host/shell.js';
import type { Rig } from './rig.js';

/** The keys that CHOM keeps for a server, and how that server takes them. */
export function serverKeys(rig: Rig, host: LabHost) {
  const { db } = rig.inventory;
  const server = async () => (await servers.byName(db, 'default', host.name)).id;
  const all = async () => await credentials.list(db, await server());
  const current = async () => {
    const found = await credentials.current(db, await server(), 'server-key');
    if (!found) throw new Error(`${host.name} has no key`);
    return found;
  };

  /** Whether a key gets in, over a connection of its own: one attempt, with that key alone. */
  async function getsIn(key: credentials.Credential): Promise<boolean> {
    const directory = await mkdtemp(join(tmpdir(), 'chom-key-'));
    try {
      const file = join(directory, 'key');
      await writeFile(file, credentials.open(key, rig.keyring), { mode: 0o600 });
      const only = ['IdentitiesOnly=yes', 'IdentityAgent=none', 'BatchMode=yes', 'StrictHostKeyChecking=no'];
      const options = [...only, 'UserKnownHostsFile=/dev/null'].flatMap((option) => ['-o', option]);
      const { exit, stderr } = await attempt('ssh', [
        ...['-F', 'none', ...options, '-i', file, `root@${host.address}`, 'true'],
      ]);
      if (exit !== 0 && !stderr.includes('Permission denied')) throw new Error(stderr);
      return exit === 0;
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  return {
    all,
    current,
    getsIn,
    /** Every key of CHOM's that is in root's authorized_keys, by its credential. */
    async taken(): Promise<string[]> {
      const text = await ask(host, sh`cat /root/.ssh/authorized_keys`);
      const held = (await all()).filter(({ public: line }) => line !== null && text.includes(line));
      return held.map(({ id }) => id);
    },
    /** What is in root's authorized_keys. */
    file: async () => await ask(host, sh`cat /root/.ssh/authorized_keys`),
    /** Has the removal of a rotation's old key tried now, and waits for that try. Returns its id. */
    async retire(rotation: string): Promise<string> {
      const key = { operation: rotation, name: OLD_KEY };
      const { tries: before = 0 } = (await obligations.find(db, key)) ?? {};
      await rig.inventory.transaction(async (trx) => await obligations.postpone(trx, key, new Date().toISOString()));
      // The worker's own sweep may be faster.
      await tryOwed(rig);
      const id = tries.tryId(key, before + 1);
      await rig.chom('op', 'watch', id);
      return id;
    },
  };
}
