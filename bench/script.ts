import { readFile } from 'node:fs/promises';
import { type Connection, createConnection } from '../src/host/connection.js';
import { createLoginGate } from '../src/host/login-gate.js';
import { sh, type Script } from '../src/host/shell.js';
import type { Contender } from './rounds.js';
import type { Setting } from './setting.js';
import { plainSite, type PlainSite } from './virtual-host.js';

/** A connection of one's own to the host, open. */
export async function openConnection({ host }: Setting): Promise<Connection> {
  const { name, address, sshPort: port, user, hostKey, keyFile } = host;
  const login = { name, address, port, user, hostKey, privateKey: await readFile(keyFile), keyId: 'bench' };
  const log = { info: () => undefined };
  const gate = createLoginGate();
  const connection = createConnection(login, { gate, log, idleMilliseconds: 600_000, onIdle: () => undefined });
  await connection.open();
  return connection;
}

/** The physical limit: one script that does it all, without a check or a way back, over a connection that is open already. */
export async function overOpenConnection(
  setting: Setting,
): Promise<{ contender: Contender; end: () => Promise<void> }> {
  const connection = await openConnection(setting);
  const contender = {
    name: 'one script',
    async once(turn: string) {
      const { exit, stderr } = await connection.run({ script: wholeSite(plainSite(turn)), limitSeconds: 60 });
      if (exit !== 0) throw new Error(`the script ended with ${exit}: ${stderr.toString()}`);
    },
  };
  return { contender, end: async () => await connection.close() };
}

function wholeSite({ user, domain, root, page, path, text }: PlainSite): Script {
  return sh`set -e
useradd --system --user-group --home-dir ${root} --no-create-home --shell /usr/sbin/nologin ${user}
install -d -m 0751 /srv/bench ${root}
install -d -o ${user} -g www-data -m 2750 ${`${root}/app`}
printf %s ${page} >${`${root}/app/index.html`}
chown ${user}:www-data ${`${root}/app/index.html`}
printf %s ${text} >${path}
nginx -t -q
systemctl reload nginx
n=0
until [ "$(curl -s --max-time 3 -H ${`Host: ${domain}`} http://127.0.0.1/)" = ${page.trim()} ]; do
  n=$((n + 1))
  [ $n -lt 500 ]
  sleep 0.01
done`;
}
