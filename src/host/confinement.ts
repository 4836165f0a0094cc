/**
 * Where root works on one site, none of what else only root may read is there, and as little of the rest as restic, ssh
 * and MariaDB's client do without. It is told to stop by SIGINT, at which restic takes its lock away. What may be
 * written, and with which capabilities, says whose unit it is.
 */
export const CONFINEMENT: readonly string[] = [
  'TemporaryFileSystem=/srv:ro /root:ro /home:ro /var/lib:ro /var/log:ro /var/spool:ro',
  'InaccessiblePaths=-/etc/shadow -/etc/shadow- -/etc/gshadow -/etc/gshadow- -/etc/sudoers -/etc/sudoers.d',
  'InaccessiblePaths=-/etc/letsencrypt -/run/chom/secrets',
  ...['StateDirectoryMode=0700', 'CacheDirectoryMode=0700', 'UMask=0077'],
  'ProtectSystem=strict',
  'PrivateTmp=yes',
  'PrivateIPC=yes',
  'ProtectClock=yes',
  'ProtectHostname=yes',
  'ProtectKernelLogs=yes',
  'ProtectKernelModules=yes',
  'ProtectControlGroups=yes',
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
