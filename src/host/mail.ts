import { paths } from './paths.js';
import { sh, type Script, writeFile } from './shell.js';

/**
 * PHP's `sendmail_path`: mail leaves through the server's relay, where there is one, and has the site as its sender
 * unless the program names another (RFC 5321's reverse-path; `-f` of PHP's fifth argument wins). Debian's AppArmor profile
 * for msmtp, which knows only its stock places, is off unless somebody turned it on.
 */
export function sendmail(domain: string): string {
  return `/usr/bin/msmtp -C ${paths.mail} --domain=${domain} --from=www@${domain} -t -i`;
}

/** msmtp's settings for all sites of a server: no secret, for every site reads them. */
export function mailFile(relay: string): string {
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(relay) ?? [];
  // 465 is TLS from the first byte, 587 wants STARTTLS (RFC 8314); any other is taken for a relay of one's own network.
  const tls = port === '465' ? ['tls on', 'tls_starttls off'] : port === '587' ? ['tls on'] : ['tls off'];
  return ['# Written by CHOM: changes made here are replaced.', 'defaults', 'syslog LOG_MAIL', 'timeout 30', ...tls]
    .concat(['', 'account default', `host ${host}`, `port ${port}`, ''])
    .join('\n');
}

/** Sends the mail of all sites to `relay` (`host:port`) from now on; null: to nobody. */
export function configureMail(relay: string | null): { check: Script; act: Script } {
  if (relay === null) return { check: sh`[ ! -e ${paths.mail} ]`, act: sh`rm -f ${paths.mail}` };
  const content = mailFile(relay);
  return {
    check: sh`printf %s ${content} | cmp -s - ${paths.mail} && [ "$(stat -c '%a %u' ${paths.mail})" = '644 0' ]`,
    act: sh`install -d -o root -g root -m 0755 /etc/chom && ${writeFile({ path: paths.mail, content, mode: '0644' })}`,
  };
}
