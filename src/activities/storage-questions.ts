import { ApplicationFailure, Context } from '@temporalio/activity';
import { parseResticLines, RESTIC_CAUSES, resticFailure } from '../host/restic-output.js';
import { makeSshKey } from '../host/ssh-key.js';
import { checkOnDisk } from '../host/trial.js';
import * as repositories from '../inventory/repositories.js';
import * as storages from '../inventory/storages.js';
import { failure, failureDetails, isFailureType } from '../workflows/failures.js';
import type { Finding, Report } from '../workflows/inspection.js';
import type { Deps } from './deps.js';
import { fine, wrong } from './finding.js';

const CHECK_SECONDS = 3600;

/** Questions about storages that only a worker can answer. No operations: there is no claim, fence or attempt. */
export function storageQuestions({ hosts, inventory, keyring }: Deps) {
  async function checked(storage: storages.Storage, repository: repositories.Repository): Promise<Finding> {
    const { maintainServer, maintainPath, name } = storage;
    const of = repository.site ?? 'trial';
    if (maintainServer === null || maintainPath === null) throw failure('Bug', `Storage ${name} is kept by no server`);
    const password = repositories.passwordOf(repository, keyring);
    try {
      const host = await hosts.for(maintainServer);
      const signal = Context.current().cancellationSignal;
      const script = checkOnDisk(maintainPath, of, password, CHECK_SECONDS);
      const output = await host.read(script, { limitSeconds: CHECK_SECONDS + 60, signal });
      if (output.exit === 0) return fine(of, 'The repository is whole');
      const { exitError } = parseResticLines(output.stderr);
      const said = exitError?.message ?? output.stderr.trim().split('\n').at(-1) ?? '';
      const again = `restic --repo ${maintainPath}/${of} --no-lock check (on ${host.name})`;
      return wrong(of, `The repository: ${said}`, again, RESTIC_CAUSES[resticFailure(output)]);
    } catch (error) {
      if (!(error instanceof ApplicationFailure) || !isFailureType(error.type)) throw error;
      const { cause, next } = failureDetails(error);
      return wrong(of, error.message, next ?? `chom storage show ${name}`, cause);
    }
  }

  return {
    /** @throws Unreachable, Penalised, UnsupportedHost */
    async learnStorageKey({ address, port }: { address: string; port: number }) {
      const signal = Context.current().cancellationSignal;
      const { key, fingerprint } = await hosts.offeredHostKey(address, port, signal);
      return { hostKey: key, fingerprint };
    },

    /** The public half of the storage's SSH key. One that there is stays. */
    async makeStorageLogin(id: string): Promise<string> {
      const key = makeSshKey(`chom-${id}`);
      const login = { kind: 'sftp' as const, privateKey: key.private.toString(), public: key.public };
      const storage = await inventory.transaction(async (trx) => storages.giveLogin(trx, keyring, id, login));
      return storage.loginPublic ?? '';
    },

    /** @throws NotFound */
    async checkRepositories(id: string): Promise<Report> {
      const storage = await storages.byId(inventory.db, id);
      const made = (await repositories.list(inventory.db, { storage: id })).filter((one) => one.initialisedAt !== null);
      if (storage.maintainServer === null) {
        const message = 'The repositories are looked through by nobody: no server is named that keeps their files';
        return { findings: [{ name: 'repositories', state: 'unknown', message }] };
      }
      const findings: Finding[] = [];
      for (const repository of made) findings.push(await checked(storage, repository));
      return { findings };
    },
  };
}
