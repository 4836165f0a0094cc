import * as credentials from '../inventory/credentials.js';
import * as servers from '../inventory/servers.js';
import type { Protection, Server } from '../inventory/servers.js';
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
  /** IP address or host name. Needed, as the key is, unless the server is enrolled and keeps the ones it has. */
  host?: string;
  port?: number;
  /** root, or a user with passwordless sudo. */
  user?: string;
  /** Logs in until CHOM has its own key there; see `readPrivateKey`. */
  key?: PrivateKey;
  /** `SHA256:…`; without it the operation asks whether the one that is offered is right. */
  hostKey?: string;
  /** `HOST[:PORT]` that takes the mail of its sites; `none`: from now on none; as it is unless said. */
  smtpRelay?: string;
  /** False: refused where it would have to wait in line. */
  wait?: boolean;
  /** What is not said stays as it was said before; all of it is wanted where nothing ever was. */
  protection?: Partial<Protection>;
}

/** What is wrong with it, before anything is opened. @throws InvalidInput */
export function checkNewServer(wanted: Omit<NewServer, 'key'>) {
  return {
    name: parseServerName(wanted.name),
    address: wanted.host === undefined ? null : parseAddress(wanted.host),
    port: wanted.port ?? null,
    user: wanted.user === undefined ? null : parseUser(wanted.user),
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
  const { hostKey, name, smtpRelay: relay, ...checked } = checkNewServer(wanted);
  const { tenant, inventory, keyring } = chom;
  const { key } = wanted;
  const enrolled = await findEnrolled(chom, wanted);
  const address = checked.address ?? enrolled?.address ?? '';
  const port = checked.port ?? enrolled?.port ?? 22;
  const user = checked.user ?? enrolled?.user ?? 'root';
  // Before anything is written: without Temporal nothing would come of it.
  await chom.temporal();
  const credential = `key-${randomId(12)}`;
  const id = `srv-${randomId(9)}`;
  const server = await inventory.transaction(async (trx) => {
    const added = await servers.add(trx, { id, tenant, name, address, port, user });
    const pinned = added.hostKeyFingerprint;
    if (hostKey !== null && pinned !== null && hostKey !== pinned) throw otherHostKey(added, hostKey);
    if (key !== undefined) {
      const kept = { id: credential, server: added.id, kind: 'bootstrap' as const, state: 'current' as const };
      await credentials.put(trx, keyring, { ...kept, public: key.public, secret: key.secret });
    }
    return added;
  });
  const pinned = server.hostKeyFingerprint;
  // What was said before is made sure of again: the machine may have been set up anew.
  const smtpRelay = relay === undefined ? (server.smtpRelay ?? undefined) : relay;
  const protection = { ...ALL, ...server.protection, ...wanted.protection };
  const login = { server: server.id, tenant, name, address, port, user, hostKey: hostKey ?? pinned };
  const plan = serverPlan.parse({ ...login, ...protection, smtpRelay });
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

/**
 * The server of that name where CHOM has a key of its own for it, else null.
 * @throws InvalidInput it is not, and what is given does not say where it is and how to get in
 */
export async function findEnrolled({ inventory, tenant }: Chom, wanted: Pick<NewServer, 'name' | 'host' | 'key'>) {
  const known = (await servers.list(inventory.db, { tenant })).find((one) => one.name === wanted.name);
  if (known && (await credentials.current(inventory.db, known.id, 'server-key'))) return known;
  if (wanted.host === undefined || wanted.key === undefined) throw unknown(wanted.name);
  return null;
}

const ALL: Protection = { firewall: true, updates: true, swap: true, logrotate: true };

function unknown(name: string) {
  return failure('InvalidInput', `Server ${name} is not enrolled: where is it, and with which key does CHOM get in?`, {
    next: `chom server add ${name} --host ADDRESS --key FILE`,
  });
}

function otherHostKey({ name, address, hostKeyFingerprint }: Server, given: string) {
  return failure('Conflict', `Server ${name} is known by another host key`, {
    server: name,
    cause: `${hostKeyFingerprint} is pinned, ${given} was given: another machine answers at ${address}, or its keys were replaced`,
    next: `chom server show ${name}`,
  });
}
