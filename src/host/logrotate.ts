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
