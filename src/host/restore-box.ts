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
 * The unit in which root restores a site: of /srv it sees that site alone, and of what else only root may read as little
 * as restic, ssh and MariaDB's client do without. What it writes lies where the site cannot reach. `repository` is a
 * directory on the server itself.
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
    'TemporaryFileSystem=/srv:ro /root:ro /home:ro /var/lib:ro /var/log:ro /var/spool:ro',
    `BindPaths=${paths.root(site)}`,
    'InaccessiblePaths=-/etc/shadow -/etc/shadow- -/etc/gshadow -/etc/gshadow- -/etc/sudoers -/etc/sudoers.d',
    'InaccessiblePaths=-/etc/letsencrypt -/run/chom/secrets',
    ...(repository === null ? [] : [`BindReadOnlyPaths=-${repository}`]),
    `StateDirectory=${restorePlaces(site, operation).journal}`,
    `CacheDirectory=chom/restic/${site}`,
    ...['StateDirectoryMode=0700', 'CacheDirectoryMode=0700', 'UMask=0077'],
    'ProtectSystem=strict',
    'PrivateTmp=yes',
    'PrivateIPC=yes',
    'ProtectClock=yes',
    'ProtectHostname=yes',
    'ProtectKernelLogs=yes',
    'ProtectKernelModules=yes',
    'ProtectControlGroups=yes',
    `CapabilityBoundingSet=${CAPABILITIES.join(' ')}`,
    'NoNewPrivileges=yes',
    'LockPersonality=yes',
    'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK',
    'RestrictNamespaces=yes',
    'RestrictRealtime=yes',
    'SystemCallArchitectures=native',
    'KillSignal=SIGINT',
    // Visitors first.
    'Nice=10',
    'IOSchedulingPriority=7',
  ];
}
