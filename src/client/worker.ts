import type { Command } from 'commander';
import type { Config } from '../config.js';
import { failure } from '../workflows/failures.js';
import { ownBuild, type Build } from './build-id.js';
import { action, type Cli, type Session } from './cli.js';
import { table } from './text.js';

/** `chom worker builds|promote`: worker versioning. */
export function versioningCommands(worker: Command, cli: Cli): void {
  worker
    .command('builds')
    .description('the builds of the workers that Temporal knows; those that drain still have operations to end')
    .addHelpText('after', '\nExample:\n  CHOM_DEPLOYMENT=chom chom worker builds')
    .action(action(cli, builds));
  worker
    .command('promote')
    .argument('[build]', 'instead of the one that is installed here')
    .description('have new operations go to a build; those that run stay with the build that began them')
    .addHelpText('after', '\nExample:\n  CHOM_DEPLOYMENT=chom chom worker promote')
    .action(action(cli, promoteBuild));
}

async function builds({ open, output }: Session): Promise<void> {
  const chom = await open();
  const own = await build(chom.config);
  const { listBuilds } = await import('./deployment.js');
  const known = await listBuilds(await chom.temporal(), own.deploymentName);
  const rows = known.map((one) => [one.build, one.state, one.build === own.buildId ? 'installed here' : '']);
  output.data(
    { deployment: own.deploymentName, installed: own.buildId, builds: known },
    table(['BUILD', 'STATE', 'WHERE'], rows),
  );
}

async function promoteBuild({ open, output }: Session, given: string | undefined): Promise<void> {
  const chom = await open();
  const { deploymentName, buildId } = await build(chom.config);
  const promoted = given ?? buildId;
  const { promote } = await import('./deployment.js');
  await promote(await chom.temporal(), { deploymentName, buildId: promoted });
  output.say(`New operations go to build ${promoted}. When an older one may go: chom worker builds`);
  output.data({ deployment: deploymentName, current: promoted }, promoted);
}

async function build(config: Config): Promise<Build> {
  const own = await ownBuild(config);
  if (own) return own;
  throw failure('InvalidInput', 'Worker versioning is off', {
    cause: 'CHOM_DEPLOYMENT says no deployment',
    next: 'set CHOM_DEPLOYMENT as the workers have it, and run the command again',
  });
}
