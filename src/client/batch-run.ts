import type { Command } from 'commander';
import type { Batch } from '../inventory/batches.js';
import { failure } from '../workflows/failures.js';
import { action, type Cli, type Session } from './cli.js';
import { FOLLOW_OPTIONS, parseTimeout, type FollowOptions } from './follow.js';
import { followBatch } from './follow-batch.js';
import type { Chom } from './open.js';
import { quoted } from './text.js';

type Follow = Pick<FollowOptions, 'detach' | 'timeout'>;

const BATCH_FILE = `
A file:
  name: nightly
  concurrency: 10                 # at once; 10 unless said
  perServer: 2
  canary: 3                       # the first 3, and then
  wait: approve                   # or a time such as 10m
  failureThreshold: 10%           # pauses; or a number
  operations:
    - verb: backup.create
      select: { server: web1, type: wordpress }
      options: { kind: database, tag: nightly }
    - verb: certificate.issue
      site: example.org
  finally:
    verb: backup.verify
    site: example.org

All of it is checked before anything is asked for. Exit status 3 where some succeeded and some did not.
docs/batches.md has all that a file can say.

Examples:
  chom batch run nightly.yaml
  chom batch run nightly.yaml --name nightly-2 --detach`;

const CHAIN_FILE = `
A file:
  name: new-shop
  operations:
    - { verb: site.create, site: shop.example.org, server: web1, options: { type: php, database: true } }
    - { verb: backup.create, site: shop.example.org }
  catch:
    - { verb: site.suspend, site: shop.example.org }

They run one after the other. Where one fails, the later ones do not run, and catch does.

Example:
  chom chain run new-shop.yaml`;

/** `chom batch run` */
export function batchRunCommand(batch: Command, cli: Cli): void {
  running(batch.command('run'))
    .description('ask for all that a file names, so many at once')
    .addHelpText('after', BATCH_FILE)
    .action(
      action(cli, async (session, file: string, options: RunOptions) => await run(session, 'batch', file, options)),
    );
}

/** `chom chain run` */
export function chainRunCommand(chain: Command, cli: Cli): void {
  running(chain.command('run'))
    .description('ask for what a file names, one after the other until one fails')
    .addHelpText('after', CHAIN_FILE)
    .action(
      action(cli, async (session, file: string, options: RunOptions) => await run(session, 'chain', file, options)),
    );
}

function running(command: Command): Command {
  return command
    .argument('<file>', 'YAML, or JSON')
    .option('--name <name>', 'instead of the one in the file')
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout);
}

interface RunOptions extends Follow {
  name?: string;
}

async function run(session: Session, kind: 'batch' | 'chain', path: string, options: RunOptions): Promise<number> {
  parseTimeout(options.timeout);
  const { readBatchFile } = await import('./batch-file.js');
  const { runBatch, runChain } = await import('./run-batch.js');
  if (kind === 'batch') {
    const file = await readBatchFile('batch', path, options.name);
    const start = async (chom: Chom) => await runBatch(chom, file.wanted, file.where);
    return await followed(session, file, start, options);
  }
  const file = await readBatchFile('chain', path, options.name);
  return await followed(session, file, async (chom) => await runChain(chom, file.wanted, file.where), options);
}

/** Works for the tenant and through the profile that a file names. @throws InvalidInput the command line names others */
async function followed(
  session: Session,
  { tenant, profile }: { tenant?: string | undefined; profile?: string | undefined },
  start: (chom: Chom) => Promise<Batch>,
  options: Follow,
): Promise<number> {
  const { environment } = session;
  const said = { CHOM_TENANT: tenant, TEMPORAL_PROFILE: profile };
  for (const [name, value] of Object.entries(said)) {
    const other = environment[name];
    if (value === undefined || other === undefined || other === '' || other === value) continue;
    throw failure('InvalidInput', `The file is for ${quoted(value)}, and ${name} or its option says ${quoted(other)}`, {
      next: 'leave one of them out',
    });
  }
  const more = Object.entries(said).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const chom = await session.open(Object.fromEntries(more));
  const batch = await start(chom);
  session.output.say(`${batch.kind} ${batch.name} (${batch.id})`);
  return await followBatch(session, chom, batch, { ...options, needsWorker: true });
}
