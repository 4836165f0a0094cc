import { paths } from './paths.js';

/**
 * What every unit that runs a site's code is kept in: of /srv it sees its own site alone, and of CHOM's records nothing.
 * `site` may be `%i`; `capabilities` are those that it may still have. Lines of a unit's `[Service]` section.
 */
export function sandbox(site: string, capabilities = ''): string {
  return `TemporaryFileSystem=/srv:ro
BindPaths=/srv/chom/${site}
InaccessiblePaths=-${paths.state}
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
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
