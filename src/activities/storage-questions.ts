import { ApplicationFailure, Context } from '@temporalio/activity';
import { parseResticLines, RESTIC_CAUSES, resticFailure } from '../host/restic-output.js';
import { makeSshKey } from '../host/ssh-key.js';
import { nextPart, type DataPart } from '../inventory/data-rotation.js';
import * as repositories from '../inventory/repositories.js';
import * as storages from '../inventory/storages.js';
import { failureDetails, isFailureType } from '../workflows/failures.js';
import type { Finding, Report } from '../workflows/inspection.js';
import type { CheckOptions, ReadData } from '../workflows/storage-questions.js';
import type { Deps } from './deps.js';
import { fine, wrong } from './finding.js';
import { beating } from './heartbeat.js';
import { openRepository } from './repository-access.js';
import { readerOf } from './repository-keeper.js';

/** Questions about storages that only a worker can answer. No operations: there is no claim, fence or attempt. */
export function storageQuestions(deps: Deps) {
  const { hosts, inventory, keyring } = deps;

  async function checked(id: string, readData: ReadData): Promise<Finding> {
    const open = await openRepository(deps, id);
    const { repository, storage } = open;
    const of = repository.site ?? 'trial';
    const part = partOf(repository, readData);
    const read = `${part.part}/${part.parts}`;
    try {
      const { check, name, at } = await readerOf(deps, open);
      const output = await check(part.parts === 1 ? '100%' : read);
      if (output.exit === 0) {
        // What somebody chose is no part of the round; all of it is a whole one.
        if (readData === null || part.parts === 1) {
          await inventory.transaction(async (trx) => await repositories.recordDataRead(trx, id, part));
        }
        const what = part.parts === 1 ? 'all of its data' : `part ${part.part} of ${part.parts} of its data`;
        return fine(of, `The repository is whole, and ${what} was read`);
      }
      const { exitError } = parseResticLines(output.stderr);
      const said = exitError?.message ?? output.stderr.trim().split('\n').at(-1) ?? '';
      const again = `restic --repo ${at} --no-lock check --read-data-subset=${read} (on ${name})`;
      return wrong(of, `The repository: ${said}`, again, RESTIC_CAUSES[resticFailure(output)]);
    } catch (error) {
      if (!(error instanceof ApplicationFailure) || !isFailureType(error.type)) throw error;
      const { cause, next } = failureDetails(error);
      return wrong(of, error.message, next ?? `chom storage show ${storage.name}`, cause);
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

    /**
     * Looks through all repositories of a storage. A worker that dies is noticed by its heartbeat, and the next one begins
     * anew: what was recorded as read is not read again in this round. @throws NotFound
     */
    async checkRepositories(id: string, { readData = null }: CheckOptions = {}): Promise<Report> {
      const storage = await storages.byId(inventory.db, id);
      const made = (await repositories.list(inventory.db, { storage: id })).filter((one) => one.initialisedAt !== null);
      if (storage.maintainServer === null && storage.maintainUrl === null) {
        const message = 'The repositories are looked through by nobody: it is not said from where they are maintained';
        return {
          findings: [{ name: 'repositories', state: 'unknown', message, next: `chom storage set ${storage.name}` }],
        };
      }
      return await beating(deps, async () => {
        const findings: Finding[] = [];
        for (const { id: repository } of made) findings.push(await checked(repository, readData));
        return { findings };
      });
    },
  };
}

/** What is read of the data: what the caller says, else what is due. */
function partOf(repository: repositories.Repository, readData: ReadData): DataPart {
  if (readData === null) return nextPart(repository, Date.now());
  return readData === 'all' ? { part: 1, parts: 1 } : readData;
}
