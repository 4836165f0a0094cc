import { afterAll, beforeAll } from 'vitest';
import { type Lab, type LabHost, startLab } from '../../lab/index.js';
import type { Host } from '../../src/host/host.js';
import { reach } from './reach.js';

/** For one test file: a host of each Debian, `new` (13) and `old` (12), reached as the product does, and their end. */
export function debianHosts() {
  const held: { lab?: Lab; hosts?: ReturnType<typeof reach> } = {};
  beforeAll(async () => {
    held.lab = await startLab({ hosts: [{ name: 'new' }, { name: 'old', debian: 12 }] });
    held.hosts = reach(held.lab.hosts);
  });
  afterAll(async () => {
    await held.hosts?.close();
    await held.lab?.down();
  });
  const lab = (): Lab => held.lab ?? notYet();
  const hosts = (): ReturnType<typeof reach> => held.hosts ?? notYet();
  return {
    lab,
    hosts,
    /** The machine as the lab has it, and as the product reaches it. */
    server: async (name = 'new'): Promise<{ machine: LabHost; host: Host }> => ({
      machine: lab().host(name),
      host: await hosts().for(name),
    }),
  };
}

function notYet(): never {
  throw new Error('the hosts are not up yet');
}
