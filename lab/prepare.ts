import { findProgram } from '../src/client/program.js';
import { temporalCli } from '../src/client/programs/temporal.js';
import { base } from './base.js';
import { composeProgram } from './compose-program.js';
import { installPackages } from './packages.js';
import { acmePrograms, timeSkippingServer } from './programs.js';
import { requireLab } from './requirements.js';
import { resticProgram, restServerProgram } from './restic-programs.js';
import { s3ServerProgram } from './s3-program.js';
import { schemathesisProgram } from './schemathesis.js';
import { temporalServerPrograms, temporalUi } from './temporal-programs.js';
import { wordpressArchive } from './wordpress.js';

/**
 * Gets everything that tests need and that takes minutes on a new machine. One build after the other, for two at once on a
 * small machine take as long and time out; beside them the images, which mostly wait for packages. Arguments: the test
 * projects that will run.
 */
const projects = process.argv.slice(2);
const wanted = (...some: string[]) => some.some((project) => projects.includes(project));

// With apt, which is one's alone.
if (wanted('workflows', 'lab')) await timeSkippingServer();
if (wanted('workflows')) await installPackages({ chromium: 'chromium' });
if (wanted('lab', 'compose')) await requireLab();
if (wanted('lab')) await wordpressArchive();
if (wanted('compose')) await installPackages({ dockerd: 'docker.io', docker: 'docker.io', iptables: 'iptables' });
await Promise.all([build(), makeImages()]);

async function build(): Promise<void> {
  if (wanted('workflows', 'lab', 'compose')) await findProgram(temporalCli);
  if (wanted('postgres', 'compose')) await temporalServerPrograms();
  if (wanted('compose')) {
    await temporalUi();
    await composeProgram();
  }
  if (wanted('workflows')) await schemathesisProgram();
  if (!wanted('lab')) return;
  await acmePrograms();
  await resticProgram();
  await restServerProgram();
  await s3ServerProgram();
}

async function makeImages(): Promise<void> {
  if (wanted('compose')) await base(13, false);
  if (!wanted('lab')) return;
  for (const bare of [false, true]) for (const release of [13, 12] as const) await base(release, bare);
}
