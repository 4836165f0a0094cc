import type { Host, Job, Output } from '../../src/host/host.js';
import type { Hosts } from '../../src/host/pool.js';
import { makeSshKey } from '../../src/host/ssh-key.js';
import type { Script } from '../../src/host/shell.js';
import * as credentials from '../../src/inventory/credentials.js';
import * as servers from '../../src/inventory/servers.js';
import { failure, type FailureType } from '../../src/workflows/failures.js';
import { wellServer } from '../activities/well-server.js';
import { activeServer } from '../inventory/records.js';
import type { WorkflowEnvironment } from './environment.js';

/** A server that is looked at and restarted. */
export interface UpkeptHost {
  server: string;
  hosts: Hosts;
  /** How the nth login fails, from 0, if it does. */
  login: (n: number) => FailureType | null;
  logins: number;
  /** What its doctor's examination prints. */
  says: string;
  boot: string;
  reboots: number;
  /** So many questions go unanswered after a restart. */
  downFor: number;
  services: string[];
}

/** An enrolled server of that id, with a key and without sites. */
export async function upkeptHost(chom: WorkflowEnvironment, server: string): Promise<UpkeptHost> {
  const key = makeSshKey(`chom-${server}`);
  await chom.inventory.transaction(async (trx) => {
    await activeServer(trx, server);
    await servers.setProtection(trx, server, { firewall: true, updates: true, swap: true, logrotate: true });
    const kept = { id: `server-key/${server}/first`, server, kind: 'server-key', state: 'current' } as const;
    await credentials.put(trx, chom.keyring, { ...kept, public: key.public, secret: key.private });
  });
  const output = (stdout: string): Output => ({ exit: 0, stdout, stderr: '', already: false, milliseconds: 1 });
  let unanswered = 0;
  const host = {
    name: server,
    async read(script: Script): Promise<Output> {
      const text = script.script.toString();
      if (unanswered > 0) {
        unanswered -= 1;
        throw failure('Unreachable', 'it is down');
      }
      if (text.includes('id -u')) return output('');
      if (text.includes('apt-get')) return output('upgrades=0 0\n');
      if (text.includes('echo "boot=')) {
        return output([`boot=${self.boot}`, ...self.services.map((unit) => `service=${unit}`), ''].join('\n'));
      }
      if (text.includes('echo "addresses=')) return output('addresses=127.0.0.1\n');
      return output(self.says);
    },
    async job({ act }: Job): Promise<Output> {
      const [, boot] = /boot_id'?\)" = '?([\w-]+)/.exec(act.script.toString()) ?? [];
      if (boot !== self.boot) return { ...output(''), already: true };
      self.reboots += 1;
      self.boot = `boot-${self.reboots}`;
      unanswered = self.downFor;
      return output('');
    },
    stop: async () => {},
  } as unknown as Host;
  const self: UpkeptHost = {
    ...{ server, login: () => null, logins: 0, boot: 'boot-0', reboots: 0, downFor: 2 },
    says: wellServer(Math.floor(Date.now() / 1000)).replace('controller=me', 'controller=test'),
    services: ['nginx.service', 'mariadb.service'],
    hosts: {
      for: async () => host,
      async withKey() {
        const type = self.login(self.logins);
        self.logins += 1;
        if (type !== null) throw failure(type, `${server} says no`, { next: 'look' });
        return host;
      },
    } as unknown as Hosts,
  };
  return self;
}
