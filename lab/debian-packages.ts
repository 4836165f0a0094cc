import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { aptOptions, mirror } from './base.js';
import { run } from './command.js';
import { installPackages } from './packages.js';

/** Downloads packages of a Debian suite, and nothing that they depend on, into a new directory. Returns the files. */
export async function downloadPackages(
  directory: string,
  suite: string,
  packages: readonly string[],
): Promise<string[]> {
  await installPackages({ 'dpkg-deb': 'dpkg', 'apt-get': 'apt' });
  await mkdir(join(directory, 'lists', 'partial'), { recursive: true });
  await mkdir(join(directory, 'archives', 'partial'), { recursive: true });
  await writeFile(join(directory, 'sources.list'), `${await mirror(suite)}\n`);
  await writeFile(join(directory, 'status'), '');
  // apt of this machine, but nothing of its state.
  const settings = [
    `Dir::Etc::SourceList=${directory}/sources.list`,
    `Dir::Etc::SourceParts=-`,
    `Dir::State::Lists=${directory}/lists`,
    `Dir::State::status=${directory}/status`,
    `Dir::Cache=${directory}`,
    `APT::Sandbox::User=root`,
    ...(await aptOptions()).map((line) => line.replace(/ "(.*)";$/, '=$1')),
  ].flatMap((setting) => ['-o', setting]);
  await run('apt-get', '-qq', ...settings, 'update');
  await run('sh', '-c', 'cd "$0" && exec apt-get -qq "$@"', directory, ...settings, 'download', ...packages);
  return (await readdir(directory)).filter((name) => name.endsWith('.deb')).map((name) => join(directory, name));
}
