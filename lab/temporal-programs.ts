import { execFile } from 'node:child_process';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Program, type Source, findProgram } from '../src/client/program.js';
import { goInstall } from '../src/client/programs/go.js';

const run = promisify(execFile);

const VERSION = '1.32.0';

/** The server that stands behind a fleet, with PostgreSQL; the one in the command line keeps its data in SQLite. */
const server: Program = {
  name: 'temporal-server',
  setting: 'CHOM_LAB_TEMPORAL_SERVER',
  cached: `temporal-server-${VERSION}`,
  accept: async (path) => await isVersion(path, VERSION),
  sources: [
    renamed(
      goInstall(
        ['go.temporal.io/server/cmd/server', 'go.temporal.io/server/cmd/tools/sql'],
        `v${VERSION}`,
        '4 minutes',
      ),
      { server: 'temporal-server', sql: 'temporal-sql-tool' },
    ),
  ],
};

/** Makes the server's tables; it carries their definitions. */
const schemaTool: Program = { ...server, name: 'temporal-sql-tool', setting: 'CHOM_LAB_TEMPORAL_SQL_TOOL' };

const UI_VERSION = '2.54.1';

/** The UI that the server is seen with, by itself. */
const ui: Program = {
  name: 'temporal-ui-server',
  setting: 'CHOM_LAB_TEMPORAL_UI',
  cached: `temporal-ui-${UI_VERSION}`,
  accept: async (path) => await isVersion(path, UI_VERSION),
  sources: [
    renamed(goInstall(['github.com/temporalio/ui-server/v2/cmd/server'], `v${UI_VERSION}`, '1 minute'), {
      server: 'temporal-ui-server',
    }),
  ],
};

/** Path of Temporal's UI. */
export async function temporalUi(): Promise<string> {
  return await findProgram(ui);
}

/** Paths of the full Temporal server and its schema tool, of one version; built when needed (`NotFound` when that fails). */
export async function temporalServerPrograms(): Promise<{ server: string; schemaTool: string }> {
  return { server: await findProgram(server), schemaTool: await findProgram(schemaTool) };
}

async function isVersion(path: string, version: string): Promise<boolean> {
  const { stdout } = await run(path, ['--version'], { timeout: 20_000 });
  return stdout.trim().endsWith(` ${version}`);
}

/** Go names a program after its last directory, which says nothing of a `server`. */
function renamed(source: Source, names: Readonly<Record<string, string>>): Source {
  return {
    ...source,
    async fill(directory) {
      await source.fill(directory);
      for (const [from, to] of Object.entries(names)) await rename(join(directory, from), join(directory, to));
    },
  };
}
