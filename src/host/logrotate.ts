import { publish } from './publish.js';
import { sh, type Script } from './shell.js';

/**
 * The rule for the logs of all sites. `su root adm`: the directory is not root's alone, and logrotate then asks for it.
 * USR1 makes nginx reopen its logs; a reload would do more than is needed.
 */
export function logrotateFile(): string {
  return `# Written by CHOM: changes made here are replaced.
/var/log/nginx/chom/*/*.log {
    daily
    rotate 14
    missingok
    notifempty
    compress
    delaycompress
    create 0640 www-data adm
    su root adm
    sharedscripts
    postrotate
        systemctl kill -s USR1 --kill-who=main nginx.service >/dev/null 2>&1 || true
    endscript
}
`;
}

/** Puts the rule where logrotate finds it. Exit codes of `publish`. */
export function rotateLogs(): { check: Script; act: Script } {
  return rotation(logrotateFile());
}

/** Takes it away. */
export function forgetRotation(): { check: Script; act: Script } {
  return rotation(null);
}

function rotation(text: string | null): { check: Script; act: Script } {
  return publish({
    service: 'logrotate',
    tree: '/etc/logrotate.d',
    changes: [{ path: 'chom', text }],
    // Only our own rule: whatever else is wrong there is nobody's business here. It says `error:` and may exit with 0.
    test: sh`[ -e /etc/logrotate.d/chom ] || exit 0
said=$(logrotate --debug /etc/logrotate.d/chom 2>&1)
code=$?
echo "$said" | grep '^error:' && exit 1
exit "$code"`,
    // It is read anew each time.
    apply: sh`:`,
    served: sh`:`,
  });
}
