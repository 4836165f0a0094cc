import { CONFINEMENT } from './confinement.js';
import { paths } from './paths.js';
import { restorePlaces } from './restore-places.js';

/**
 * Owners and modes as they were; devices and capabilities too, because restic fails where it cannot make what is thrown
 * away later. The import needs CAP_SETUID, CAP_SETGID and CAP_SETPCAP to have none at all.
 */
const CAPABILITIES = [
  ...['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_MKNOD', 'CAP_SETFCAP'],
  ...['CAP_SETGID', 'CAP_SETUID', 'CAP_SETPCAP'],
];

/**
 * The unit in which root restores a site: of /srv it sees that site alone. What it writes lies where the site cannot
 * reach. `repository` is a directory on the server itself.
 */
export function restoreBox({
  site,
  operation,
  repository = null,
}: {
  site: string;
  operation: string;
  repository?: string | null;
}): string[] {
  return [
    ...CONFINEMENT,
    `BindPaths=${paths.root(site)}`,
    ...(repository === null ? [] : [`BindReadOnlyPaths=-${repository}`]),
    `StateDirectory=${restorePlaces(site, operation).journal}`,
    `CacheDirectory=chom/restic/${site}`,
    `CapabilityBoundingSet=${CAPABILITIES.join(' ')}`,
  ];
}
