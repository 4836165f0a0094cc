import * as credentials from '../inventory/credentials.js';
import * as servers from '../inventory/servers.js';
import type { Server } from '../inventory/servers.js';
import { failure } from '../workflows/failures.js';
import { serverPlan } from '../workflows/plans.js';
import { askFor } from './ask-for.js';
import { parseAddress, parseFingerprint, parseServerName, parseUser } from './names.js';
import type { Chom } from './open.js';
import type { PrivateKey } from './private-key.js';
import { parseSmtpRelay } from './smtp-relay.js';
import { randomId } from './submit.js';

/** A server as it is to be enrolled. */
export interface NewServer {
  name: string;
  /** IP address or host name. */
  host: string;
  port?: number;
  /** root, or a user with passwordless sudo. */
  user?: string;
  /** Logs in until CHOM has its own key there; see `readPrivateKey`. */
  key: PrivateKey;
  /** `SHA256:…`; without it the operation asks whether the one that is offered is right. */
  hostKey?: string;
  /** `HOST[:PORT]` that takes the mail of its sites; `none`: from now on none; as it is unless said. */
  smtpRelay?: string;
  /** False: refused where it would have to wait in line. */
  wait?: boolean;
}

/** What is wrong with it, before anything is opened. @throws InvalidInput */
export function checkNewServer(wanted: Omit<NewServer, 'key'>) {
  return {
    name: parseServerName(wanted.name),
    address: parseAddress(wanted.host),
    port: wanted.port ?? 22,
    user: parseUser(wanted.user ?? 'root'),
    hostKey: wanted.hostKey === undefined ? null : parseFingerprint(wanted.hostKey),
    smtpRelay: wanted.smtpRelay === undefined ? undefined : parseSmtpRelay(wanted.smtpRelay),
  };
}

/**
 * Adds a server, or takes its enrolment up again, and asks for the operation that enrols it. An enrolled server keeps
 * working meanwhile, and stays enrolled should that fail.
 * @throws InvalidInput; Conflict another address or host key under that name; Busy; TemporalUnavailable
 */
export async function enrolServer(chom: Chom, wanted: NewServer): Promise<{ operation: string; server: Server }> {
  const { hostKey, smtpRelay: relay, ...checked } = checkNewServer(wanted);
  const { tenant, inventory, keyring } = chom;
  // Before anything is written: without Temporal nothing would come of it.
  await chom.temporal();
  const credential = `key-${randomId(12)}`;
  const id = `srv-${randomId(9)}`;
  const server = await inventory.transaction(async (trx) => {
    const added = await servers.add(trx, { id, tenant, ...checked });
    const pinned = added.hostKeyFingerprint;
    if (hostKey !== null && pinned !== null && hostKey !== pinned) throw otherHostKey(added, hostKey);
    await credentials.put(trx, keyring, {
      id: credential,
      server: added.id,
      kind: 'bootstrap',
      public: wanted.key.public,
      secret: wanted.key.secret,
      state: 'current',
    });
    return added;
  });
  const { name, address, port, user } = server;
  const pinned = server.hostKeyFingerprint;
  // What was said before is made sure of again: the machine may have been set up anew.
  const smtpRelay = relay === undefined ? (server.smtpRelay ?? undefined) : relay;
  const common = { server: server.id, tenant, name, address, port, user };
  const plan = serverPlan.parse({ ...common, hostKey: hostKey ?? pinned, smtpRelay });
  const operation = await askFor(chom, {
    kind: 'enrol-server',
    input: plan,
    summary: `Enrol server ${name} (${address})`,
    tenant,
    server: server.id,
    serverName: name,
    exclusive: true,
    wait: wanted.wait ?? true,
  });
  return { operation, server };
}

function otherHostKey({ name, address, hostKeyFingerprint }: Server, given: string) {
  return failure('Conflict', `Server ${name} is known by another host key`, {
    server: name,
    cause: `${hostKeyFingerprint} is pinned, ${given} was given: another machine answers at ${address}, or its keys were replaced`,
    next: `chom server show ${name}`,
  });
}
