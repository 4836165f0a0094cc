import { paths } from './paths.js';

/** Shared memory of its own: it would be all sites' memory, and a place where they meet. */
export const OWN_MEMORY = '/dev/shm:mode=1777,nosuid,size=64M';

/**
 * What every unit that runs a site's code is kept in: of /srv it sees its own site alone, and of CHOM's records nothing.
 * Nothing that all users may write is shared, not /run either, which ProtectSystem= leaves writable beside ProtectProc=
 * (systemd 257, seen). `site` may be `%i`; `capabilities` are those that it may still have. Lines of a unit's `[Service]` section.
 */
export function sandbox(site: string, capabilities = ''): string {
  return `TemporaryFileSystem=/srv:ro ${OWN_MEMORY}
BindPaths=/srv/chom/${site}
InaccessiblePaths=-${paths.state}
ProtectSystem=strict
ReadOnlyPaths=/run
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateIPC=yes
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
CapabilityBoundingSet=${capabilities}
LockPersonality=yes
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native`;
}
