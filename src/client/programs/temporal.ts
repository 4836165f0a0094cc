import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { chmod, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { Program, Source } from '../program.js';
import { goInstall } from './go.js';

const run = promisify(execFile);

/** The oldest server that knows the new matcher, which priorities and fairness need. */
const OLDEST_SERVER = [1, 29, 1] as const;

/** Newest CLI that `go install` can build: later ones replace a module by a path (cliext). */
const BUILT_VERSION = 'v1.5.1';

const ANSWER_MS = 5_000;
const ARCHIVE_MS = 300_000;

/** The Temporal command line program, which holds the development server. */
export const temporalCli: Program = {
  name: 'temporal',
  setting: 'CHOM_TEMPORAL_CLI',
  cached: `temporal-${BUILT_VERSION.slice(1)}`,
  accept: hasRecentServer,
  sources: [download(), goInstall(['github.com/temporalio/cli/cmd/temporal'], BUILT_VERSION, '3 minutes')],
};

/** Whether the server inside is recent enough. `temporal --version` prints `… (Server 1.29.1, UI 2.42.1)`. */
async function hasRecentServer(path: string): Promise<boolean> {
  const { stdout } = await run(path, ['--version'], { timeout: 20_000 });
  return isRecentServer(stdout);
}

/** Whether the text that `temporal --version` printed names a server of at least 1.29.1. */
export function isRecentServer(printed: string): boolean {
  const numbers = /Server v?(\d+)\.(\d+)\.(\d+)/.exec(printed)?.slice(1).map(Number) ?? [];
  for (const [index, oldest] of OLDEST_SERVER.entries()) {
    const number = numbers[index] ?? -1;
    if (number !== oldest) return number > oldest;
  }
  return true;
}

const downloadAnswer = z.object({ archiveUrl: z.url(), fileToExtract: z.string().regex(/^[\w.-]+$/) });

/** What the SDK's test environment downloads: the newest release, from the address that Temporal keeps for that. */
function download(): Source {
  return {
    doing: 'downloading from temporal.download',
    quiet: true,
    async fill(directory) {
      const platform = process.platform === 'win32' ? 'windows' : process.platform;
      const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
      const question = `https://temporal.download/cli/latest?platform=${platform}&arch=${architecture}`;
      const answer = await fetch(question, { signal: AbortSignal.timeout(ANSWER_MS) });
      if (!answer.ok) throw new Error(`temporal.download answered ${answer.status}`);
      const { archiveUrl, fileToExtract } = downloadAnswer.parse(await answer.json());
      process.stderr.write(`temporal: downloading ${archiveUrl} (about 50 MB, once)\n`);
      const archive = await fetch(archiveUrl, { signal: AbortSignal.timeout(ARCHIVE_MS) });
      if (!archive.ok || !archive.body) throw new Error(`${archiveUrl} answered ${archive.status}`);
      const file = join(directory, 'archive');
      await pipeline(Readable.fromWeb(archive.body), createWriteStream(file));
      await run('tar', ['-xf', file, '-C', directory, fileToExtract]);
      await rm(file);
      const path = join(directory, fileToExtract);
      await chmod(path, 0o755);
      if (!(await hasRecentServer(path))) throw new Error('its server is too old');
    },
  };
}
