import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { failure } from '../src/workflows/failures.js';

const run = promisify(execFile);

/**
 * Installs what is missing of these commands with apt: `{ command: package }`. Says what it installs on stderr.
 * `NotFound` when there is no apt or it fails.
 */
export async function installPackages(wanted: Readonly<Record<string, string>>): Promise<void> {
  const missing: string[] = [];
  for (const [command, name] of Object.entries(wanted)) if (!(await isCommand(command))) missing.push(name);
  if (missing.length === 0) return;
  const list = missing.join(' ');
  if (!(await isCommand('apt-get'))) {
    throw failure('NotFound', `Missing programs, and there is no apt here to install them: ${list}`, {
      next: 'install them with this system’s package manager',
    });
  }
  process.stderr.write(`lab: installing ${list} with apt (about ${10 + 5 * missing.length} s, once)\n`);
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
  const install = ['-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300', 'install', ...missing];
  try {
    await run('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=300', 'update'], { env: environment });
    await run('apt-get', install, { env: environment, maxBuffer: 64 << 20 });
  } catch (error) {
    throw failure('NotFound', `apt could not install ${list}`, {
      cause: error instanceof Error ? error.message : String(error),
      next: `apt-get install ${list}`,
    });
  }
}

async function isCommand(name: string): Promise<boolean> {
  // Debian keeps administrators' programs in sbin, which is not on every root shell's PATH.
  for (const directory of [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']) {
    const found = await access(join(directory, name), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}
