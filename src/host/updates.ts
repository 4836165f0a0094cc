import { publish } from './publish.js';
import { sh, type Script } from './shell.js';

/** Later than the files of the distribution and of the administrator, whose choice of origins stays. */
const FILE = 'apt.conf.d/90chom-updates';

/** Security updates by themselves, and never a restart of the server by them. */
export function updatesFile(): string {
  return `// Written by CHOM: changes made here are replaced.
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
Unattended-Upgrade::Automatic-Reboot "false";
`;
}

const settings = sh`eval "$(apt-config shell every APT::Periodic::Unattended-Upgrade reboot Unattended-Upgrade::Automatic-Reboot)"`;

/** Lets unattended-upgrades work every day. Exit codes of `publish`. */
export function configureUpdates(): { check: Script; act: Script } {
  return updates(updatesFile(), sh`${settings}; [ "$every" = 1 ] && [ "$reboot" = false ]`);
}

/** Takes CHOM's settings away; those of others count again. */
export function forgetUpdates(): { check: Script; act: Script } {
  return updates(null, sh`:`);
}

/** Prints what `parseUpdates` reads. */
export function askUpdates(): Script {
  return sh`export LC_ALL=C
every= reboot=
${settings}
if [ ! -e ${`/etc/apt/${FILE}`} ]; then echo "reboot=$reboot"; fi
echo "every=$every"
for timer in apt-daily.timer apt-daily-upgrade.timer; do
  systemctl -q is-active "$timer" || echo "idle=$timer"
done`;
}

/** How a server updates itself. */
export interface UpdateFacts {
  on: boolean;
  /** It would have restarted by itself, by somebody else's settings. */
  rebooted: boolean;
  /** Timers of the distribution that would do it, and do not run. */
  idle: string[];
}

export function parseUpdates(output: string): UpdateFacts {
  const lines = output.split('\n');
  const idle = lines.flatMap((line) => (line.startsWith('idle=') ? [line.slice('idle='.length)] : []));
  return { on: lines.includes('every=1'), rebooted: lines.includes('reboot=true'), idle };
}

function updates(text: string | null, served: Script): { check: Script; act: Script } {
  return publish({
    service: 'updates',
    tree: '/etc/apt',
    changes: [{ path: FILE, text }],
    test: sh`apt-config dump 2>&1 >/dev/null`,
    // apt and its timers read the files each time.
    apply: sh`:`,
    served,
  });
}
