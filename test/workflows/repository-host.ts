import { utils } from 'ssh2';
import { storageRetirementActivities } from '../../src/activities/storage-retirement.js';
import { storageRotationActivities } from '../../src/activities/storage-rotation.js';
import type { Host, Job, Output } from '../../src/host/host.js';
import type { Hosts } from '../../src/host/pool.js';
import type { Script } from '../../src/host/shell.js';
import { makeSshKey } from '../../src/host/ssh-key.js';
import { randomId } from '../../src/client/submit.js';
import { openFromRecovery } from '../../src/inventory/recovery.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as rotation from '../../src/inventory/repository-rotation.js';
import { failure } from '../../src/workflows/failures.js';
import type { StorageRotationPlan } from '../../src/workflows/storage-rotation-plan.js';
import type { WorkflowEnvironment } from './environment.js';
import type { Trouble } from './key-host.js';
import { liveSite } from './site-records.js';

/** The storage `box`, over SFTP, whose users and files `web1` keeps. */
export const BOX = 'stobox';

/** A repository that is nothing but what opens it: jobs are played by their names. */
export interface RepositoryHost {
  plan: StorageRotationPlan;
  /** By the id of restic's key. */
  passwords: Map<string, string>;
  /** Public keys that get in over SFTP. */
  logins: string[];
  /** What lies beside it, sealed to the recovery key. */
  sealed: string;
  /** Asked before and after each contact. */
  trouble: Trouble;
  contacts: number;
  /** Points at which nothing that CHOM keeps got in and opened it, or what is sealed did not; must stay empty. */
  lost: string[];
  activities: ReturnType<typeof storageRotationActivities> & ReturnType<typeof storageRetirementActivities>;
}

/** A live site with a repository in `box`; `recoveryKey` is the private half of the keyring's. */
export async function repositoryHost(chom: WorkflowEnvironment, recoveryKey: string): Promise<RepositoryHost> {
  const site = await liveSite(chom);
  const key = makeSshKey('first');
  const login = { kind: 'sftp', privateKey: key.private.toString(), public: key.public } as const;
  const url = `sftp://${BOX}-${site.site}@198.18.0.9:22//${site.site}`;
  const { id } = await chom.inventory.transaction(async (trx) => {
    const made = { storage: BOX, site: site.site, url, password: Buffer.from('first'), login };
    const added = await repositories.add(trx, chom.keyring, made);
    await repositories.markEscrowed(trx, added.id);
    await repositories.markInitialised(trx, added.id, 'ab'.repeat(32));
    return added;
  });

  /** Whatever happens, something that CHOM keeps gets in and opens it; and what lies sealed beside it opens it. */
  async function check(what: string): Promise<void> {
    const repository = await repositories.byId(chom.inventory.db, id);
    const next = rotation.nextOf(repository, chom.keyring);
    const kept = [
      repositories.passwordOf(repository, chom.keyring),
      next?.password,
      rotation.oldPasswordOf(repository, chom.keyring),
    ];
    const opens = kept.some((one) => one && [...self.passwords.values()].includes(one.toString()));
    const enters = [repository.loginPublic, repository.nextLoginPublic].some((one) => self.logins.includes(one ?? ''));
    const beside = self.sealed === '' || [...self.passwords.values()].includes(escrowed());
    if (!opens || !enters || !beside) self.lost.push(what);
  }

  function escrowed(): string {
    return (JSON.parse(openFromRecovery(recoveryKey, self.sealed).toString()) as { password: string }).password;
  }

  async function contact(what: string): Promise<void> {
    await check(what);
    const n = self.contacts;
    self.contacts += 1;
    const trouble = await self.trouble(n);
    if (trouble instanceof TypeError) throw trouble;
    if (typeof trouble === 'string' && trouble !== 'cancel') throw failure(trouble, `${what}: the server says no`);
  }

  const output = (exit: number, stdout = '', stderr = ''): Output => ({
    exit,
    stdout,
    stderr,
    already: false,
    milliseconds: 1,
  });
  const told = (secrets: Job['secrets'], name: string) => secrets?.[name]?.toString() ?? '';
  /** Whose public half is among those that get in. */
  const enters = (secrets: Job['secrets']) => {
    const { data } = parseKey(told(secrets, 'ssh-key'));
    return self.logins.some((line) => line.split(' ')[1] === data);
  };
  const opensBy = (password: string) => [...self.passwords].find(([, one]) => one === password)?.[0];

  function play(step: string, { act, secrets }: Job): Output {
    const text = act.script.toString();
    const part = step.slice(step.indexOf('/') + 1).replace(/-\d+$/, '');
    if (part.startsWith('sftp-user')) {
      self.logins = [
        ...new Set([...text.matchAll(/restrict (ssh-ed25519 \S+ [^\s']+)/g)].map(([, line = '']) => line)),
      ];
      return output(0);
    }
    if (part.startsWith('escrow')) {
      [self.sealed = ''] = /chom-recovery1\.[\w.-]+/.exec(text) ?? [];
      return output(0);
    }
    if (part === 'remove-password') {
      const [, gone = ''] = /key remove \W*(\w+)/.exec(text) ?? [];
      if (opensBy(told(secrets, 'password')) === undefined) return output(12);
      self.passwords.delete(gone);
      return output(0);
    }
    if (!enters(secrets)) return output(1, '', 'Permission denied (publickey)');
    if (opensBy(told(secrets, 'password')) === undefined) return output(12);
    if (part === 'add-password') self.passwords.set(randomHex(), told(secrets, 'next-password'));
    return output(0);
  }

  const host = {
    name: 'web1',
    async read({ script }: Script): Promise<Output> {
      await contact('read');
      const [, password = ''] = /printf '%s\\n' (\S+) \|/.exec(script.toString()) ?? [];
      const id8 = opensBy(password.replaceAll("'", ''));
      if (id8 === undefined) return output(12);
      return output(0, JSON.stringify([...self.passwords.keys()].map((one) => ({ current: one === id8, id: one }))));
    },
    async job(job: Job): Promise<Output> {
      await contact(job.step);
      const result = play(job.step, job);
      await contact(`after ${job.step}`);
      return result;
    },
    stop: async () => {},
    silence: async () => {},
  } as unknown as Host;
  const hosts = { for: async () => host } as unknown as Hosts;
  const deps = { ...chom.deps, hosts };
  const self: RepositoryHost = {
    plan: { ...site, repository: id, storage: BOX, storageName: 'box' },
    ...{ passwords: new Map([[randomHex(), 'first']]), logins: [key.public], sealed: '' },
    ...{ trouble: () => null, contacts: 0, lost: [] },
    activities: { ...storageRotationActivities(deps), ...storageRetirementActivities(deps) },
  };
  return self;
}

function parseKey(privateKey: string): { data: string } {
  const parsed = utils.parseKey(privateKey);
  if (parsed instanceof Error) throw parsed;
  const [key] = [parsed].flat();
  return { data: key?.getPublicSSH().toString('base64') ?? '' };
}

function randomHex(): string {
  return Buffer.from(randomId(4)).toString('hex');
}
