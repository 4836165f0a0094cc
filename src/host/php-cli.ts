import type { SitePlan } from '../workflows/plans.js';
import { EXIT } from './exit-codes.js';
import { sh, type Script } from './shell.js';

type Version = NonNullable<SitePlan['php']>;

/** The program that runs PHP outside the web server, in the version of the site. */
export function php(version: Version): string {
  return `/usr/bin/php${version}`;
}

/** Ends the script with `unsupported`, and names them, where the server's PHP lacks extensions. */
export function requireExtensions(version: Version, extensions: readonly string[]): Script {
  const code = 'echo implode(" ", array_filter(array_slice($argv, 1), fn($name) => !extension_loaded($name)));';
  return sh`missing=$(${php(version)} -r ${code} -- ${extensions}) || {
  echo ${`${php(version)} does not run on the server`} >&2
  exit ${EXIT.unsupported}
}
if [ -n "$missing" ]; then
  echo ${`PHP ${version} of the server lacks extensions, which enrolling it again installs: `}"$missing" >&2
  exit ${EXIT.unsupported}
fi`;
}
