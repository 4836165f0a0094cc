import type { ApplicationFailure } from '@temporalio/common';
import { failure } from '../workflows/failures.js';
import type { HostKey } from './host-key.js';
import type { Login } from './login.js';

/** What ssh2 and sockets put on their errors. */
export interface LoginError extends Error {
  level?: string;
  code?: unknown;
  /** Set by us: the key exchange had ended. */
  greeted?: boolean;
}

/** Says why a login failed, as one of our types. The text of an error never holds key material. */
export function loginFailure(
  login: Pick<Login, 'name' | 'address' | 'port' | 'user' | 'hostKey'>,
  error: LoginError,
  offered: HostKey | null,
): ApplicationFailure {
  const { name: server, address, port, user, hostKey } = login;
  const place = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  const reach = `ssh -p ${port} ${user}@${address} true`;
  const said = error.message;

  if (/Host denied/.test(said) && offered !== null) {
    return failure(
      'HostKeyMismatch',
      `${server} (${place}) shows another host key than the pinned one: ${offered.fingerprint}`,
      {
        server,
        cause: 'The server was installed anew, or somebody stands between us and it',
        next: 'Compare with `ssh-keygen -lf` of /etc/ssh/ssh_host_*_key.pub on the server’s own console',
      },
    );
  }
  if (/no matching host key format/.test(said)) {
    const [type] = hostKey.split(' ');
    return failure(
      'HostKeyMismatch',
      `${server} (${place}) no longer has a host key of the pinned type ${type ?? ''}`,
      {
        server,
        cause: 'The server was installed anew, or its host keys were removed',
        next: 'Look at /etc/ssh/ssh_host_*_key.pub on the server’s own console',
      },
    );
  }
  if (/no matching/.test(said)) {
    return failure('UnsupportedHost', `${server} (${place}) and CHOM have no common SSH algorithm: ${said}`, {
      server,
      cause: 'sshd_config allows only algorithms that CHOM does not trust or know',
      next: `${reach.replace(' true', '')} -v`,
    });
  }
  if (
    error.level === 'client-authentication' ||
    /authentication failures|Cannot parse privateKey|private key/.test(said)
  ) {
    return failure('LoginRefused', `${server} (${place}) refuses the key for ${user}: ${said}`, {
      server,
      cause: `The key is not in the authorized_keys of ${user}, or the file’s permissions are too wide`,
      next: `journalctl -u ssh -n 20 (on ${server})`,
    });
  }
  const dropped = /before handshake/.test(said) || error.code === 'ECONNRESET' || error.code === 'EPIPE';
  if (dropped && error.greeted !== true) {
    return failure('Penalised', `${server} (${place}) drops our connections before they begin`, {
      server,
      cause: 'Its SSH server refuses our address for a while (PerSourcePenalties, MaxStartups or fail2ban)',
      next: `journalctl -u ssh -n 20 (on ${server})`,
      retryAfterSeconds: 30,
    });
  }
  return failure('Unreachable', `${server} (${place}) cannot be reached: ${said}`, {
    server,
    cause: 'It is switched off or starting, or a firewall or the address is in the way',
    next: reach,
  });
}
