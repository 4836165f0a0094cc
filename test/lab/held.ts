import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';

/** Keeps everything that would publish a site on the host waiting, as a long change of another site does. */
export async function holdPublishing<Result>({ exec }: LabHost, fn: () => Promise<Result>): Promise<Result> {
  await exec('systemd-run --quiet --unit=holder flock /var/lib/chom/locks/nginx sleep infinity');
  await poll(
    'the lock is held',
    60_000,
    async () => (await exec('flock -n /var/lib/chom/locks/nginx true')).exit !== 0,
  );
  try {
    return await fn();
  } finally {
    // It may have been rebooted meanwhile.
    await exec('systemctl stop holder; true');
  }
}
