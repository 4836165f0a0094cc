import { adopt } from './adopt.js';
import { createConnection, type Connection, type ConnectionLog } from './connection.js';
import type { Host, Output } from './host.js';
import type { HostKey } from './host-key.js';
import { runJob, stopJobs } from './job.js';
import { silence } from './silence.js';
import { leave } from './leave.js';
import { createLoginGate } from './login-gate.js';
import { offeredHostKey, type Login } from './login.js';
import { upload } from './upload.js';

/** All servers that this process reaches. */
export interface Hosts {
  /** The server by its id, with its credentials as they are now. Connects with the first use. */
  for(server: string): Promise<Host>;
  /**
   * The server over a connection of its own, logged in just now with exactly this key, or with its credentials as they are now: a proof
   * that it works.
   */
  withKey(server: string, key?: Pick<Login, 'privateKey' | 'keyId'>): Promise<Host>;
  /** The host key that a server offers now, without logging in. Failures: Unreachable, Penalised, UnsupportedHost. */
  offeredHostKey(address: string, port: number, signal?: AbortSignal): Promise<HostKey>;
  /** Ends the connections to a server that CHOM has left. */
  leave(server: string): Promise<void>;
  /** Ends all connections; jobs on hosts run on. */
  close(): Promise<void>;
}

export interface HostsOptions {
  /** Where a server is and how to get in, asked for each use, so that changed credentials count at once. */
  resolve: (server: string) => Promise<Login>;
  log: ConnectionLog;
}

const IDLE_MILLISECONDS = 5 * 60_000;
const PROOF_IDLE_MILLISECONDS = 10_000;

export function createHosts({ resolve, log }: HostsOptions): Hosts {
  const gate = createLoginGate();
  const pooled = new Map<string, Connection>();
  const proofs = new Set<Connection>();

  return {
    async for(server) {
      const login = await resolve(server);
      // Everything that makes a connection what it is: after a change of any of it the old one is never used again.
      const key = JSON.stringify([login.address, login.port, login.user, login.hostKey, login.keyId]);
      const connection =
        pooled.get(key) ??
        createConnection(login, { gate, log, idleMilliseconds: IDLE_MILLISECONDS, onIdle: () => pooled.delete(key) });
      pooled.set(key, connection);
      return hostOver(connection);
    },
    async withKey(server, key) {
      const login = { ...(await resolve(server)), ...key };
      const connection: Connection = createConnection(login, {
        gate,
        log,
        idleMilliseconds: PROOF_IDLE_MILLISECONDS,
        onIdle: () => proofs.delete(connection),
      });
      await connection.open();
      proofs.add(connection);
      return hostOver(connection);
    },
    async leave(server) {
      const { address, port } = await resolve(server);
      const here = ({ login }: Connection): boolean => login.address === address && login.port === port;
      await Promise.all([...pooled.values(), ...proofs].filter(here).map((connection) => connection.close()));
      for (const [key, connection] of pooled) if (here(connection)) pooled.delete(key);
    },
    offeredHostKey: async (address, port, signal) =>
      await gate.pass(`${address}:${port}`, () => offeredHostKey(address, port, signal), signal),
    async close() {
      await Promise.all([...pooled.values(), ...proofs].map((connection) => connection.close()));
      pooled.clear();
      proofs.clear();
    },
  };
}

function hostOver(connection: Connection): Host {
  return {
    name: connection.login.name,
    async read(script, { limitSeconds = 30, signal } = {}): Promise<Output> {
      const result = await connection.run({ script, limitSeconds, ...(signal && { signal }) });
      const { exit, stdout, stderr, milliseconds } = result;
      return { exit, stdout: stdout.toString(), stderr: stderr.toString(), already: false, milliseconds };
    },
    job: async (job, options) => await runJob(connection, job, options),
    upload: async (file, options) => await upload(connection, file, options?.signal),
    silence: async (claim, options) => await silence(connection, claim, options?.signal),
    adopt: async (controller, options) => await adopt(connection, controller, options?.signal),
    leave: async (claim, self, options) => await leave(connection, claim, self, options?.signal),
    stop: async (root, options) => await stopJobs(connection, root, options),
  };
}
