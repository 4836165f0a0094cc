import type { Command } from 'commander';
import { ESCROW_PASSWORD, escrowUrl } from '../inventory/recovery.js';
import * as repositories from '../inventory/repositories.js';
import * as sites from '../inventory/sites.js';
import type { Storage } from '../inventory/storages.js';
import * as storages from '../inventory/storages.js';
import { action, type Cli, type Session } from './cli.js';
import type { Chom } from './open.js';
import { makeRecoveryKey } from './recovery-key.js';
import { facts } from './text.js';

/** `chom storage recovery-kit` */
export function recoveryKitCommand(storage: Command, cli: Cli): void {
  storage
    .command('recovery-kit')
    .description(
      'what is needed to restore with restic alone, without CHOM: print it, and keep it away from this machine',
    )
    .option('--reveal', 'with the passwords, which open every backup; without it, where they lie sealed', false)
    .addHelpText('after', '\nExample:\n  chom storage recovery-kit --reveal >kit.txt')
    .action(action(cli, recoveryKit));
}

/** One repository, as whoever restores needs it. */
interface KitEntry {
  domain: string;
  site: string;
  storage: string;
  repository: string;
  /** Where the sealed password lies. */
  sealed: string;
  /** Opens the repository that it lies in, where it lies in one. */
  sealedOpenedBy?: string;
  hostKey: string | null;
  password?: string;
  login?: object | null;
}

async function recoveryKit(session: Session, { reveal }: { reveal: boolean }): Promise<void> {
  const chom = await session.open();
  await makeRecoveryKey(chom, (line) => session.output.say(line));
  const entries = await kit(chom, reveal);
  if (entries.length === 0) session.output.say('No site has a repository yet');
  if (reveal && entries.length > 0) session.output.say('Whoever reads this can read every backup: keep it locked away');
  session.output.data({ repositories: entries }, entries.map(describe).join('\n\n'));
}

async function kit({ inventory: { db }, keyring, tenant }: Chom, reveal: boolean): Promise<KitEntry[]> {
  const entries: KitEntry[] = [];
  for (const { id: site, domain } of await sites.list(db, { tenant })) {
    for (const repository of await repositories.list(db, { site })) {
      const storage = await storages.byId(db, repository.storage);
      entries.push({
        ...{ domain, site, storage: storage.name, repository: repository.url, hostKey: storage.hostKey },
        ...sealedAt(storage, site),
        ...(reveal && {
          password: repositories.passwordOf(repository, keyring).toString(),
          login: repositories.loginOf(repository, storage, keyring),
        }),
      });
    }
  }
  return entries;
}

function sealedAt(storage: Storage, site: string): Pick<KitEntry, 'sealed' | 'sealedOpenedBy'> {
  const { kind, url, maintainPath } = storage;
  const alone = kind === 's3' || (kind === 'rest' && maintainPath === null);
  if (alone) return { sealed: escrowUrl(storage, site), sealedOpenedBy: ESCROW_PASSWORD };
  const place = maintainPath ?? new URL(url, 'file:///').pathname.replace(/^\/\//, '/');
  return { sealed: `${place}/recovery/${site}` };
}

function describe(entry: KitEntry): string {
  const { domain, site, repository, sealed, sealedOpenedBy, hostKey, password, login } = entry;
  const dump = `RESTIC_PASSWORD=${sealedOpenedBy} restic --repo '${sealed}' dump latest /sealed`;
  return facts([
    ['site', `${domain} (${site})`],
    ['repository', repository],
    ['sealed password', `${sealedOpenedBy === undefined ? sealed : dump}, opened by the recovery key`],
    ['host key', hostKey],
    ['password', password],
    ['login', login === undefined || login === null ? undefined : JSON.stringify(login)],
    ['restore', `restic --repo '${repository}' snapshots; restic --repo '${repository}' restore ID --target /restored`],
  ]);
}
