import { connect as connectSocket, type Socket } from 'node:net';
import { Client, type ConnectConfig } from 'ssh2';
import { describeHostKey, isPinnedKey, signaturesFor, type HostKey } from './host-key.js';
import { loginFailure, type LoginError } from './login-failure.js';

/** Where a server is, and how we get in. */
export interface Login {
  /** The server's name, for messages. */
  name: string;
  address: string;
  port: number;
  /** `root`, or a user with passwordless sudo. */
  user: string;
  /** `<type> <base64>` as in known_hosts, or a `SHA256:…` fingerprint. */
  hostKey: string;
  /** In OpenSSH's format. */
  privateKey: Buffer;
  /** Names the key: connections made with one key are never used for another. */
  keyId: string;
}

/** A login that succeeded. ssh2 cannot destroy the socket of a link that is already closing; we can. */
export interface LoggedIn {
  client: Client;
  socket: Socket;
}

/** TCP, handshake and authentication together. */
const LOGIN_MILLISECONDS = 15_000;
/** A dead link is noticed after about 20 s; without this a silent loss would never be. */
const KEEPALIVE: ConnectConfig = { keepaliveInterval: 5_000, keepaliveCountMax: 3 };
const ALGORITHMS = {
  kex: ['curve25519-sha256', 'curve25519-sha256@libssh.org', 'diffie-hellman-group16-sha512'],
  cipher: ['aes256-gcm@openssh.com', 'aes128-gcm@openssh.com', 'aes256-ctr', 'chacha20-poly1305@openssh.com'],
  hmac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com'],
  compress: ['none'],
} satisfies ConnectConfig['algorithms'];

/**
 * Logs in with exactly this key, at a server that shows exactly the pinned host key.
 * Failures: Unreachable, Penalised, LoginRefused, HostKeyMismatch, UnsupportedHost.
 */
export async function logIn(login: Login, signal?: AbortSignal): Promise<LoggedIn> {
  let offered: HostKey | null = null;
  const config: ConnectConfig = {
    username: login.user,
    privateKey: login.privateKey,
    // One key, nothing else: an agent or a password would make the proof of a new key worthless.
    authHandler: ['publickey'],
    algorithms: { ...ALGORITHMS, serverHostKey: signaturesFor(login.hostKey) },
    // ssh2 takes everything but `false` for a yes, a promise too: the answer is given at once and is a boolean.
    hostVerifier: (key: Buffer): boolean => {
      offered = describeHostKey(key);
      return isPinnedKey(key, login.hostKey);
    },
  };
  return await connect(login, config, signal).catch((error: LoginError) => {
    throw signal?.aborted === true ? (signal.reason as Error) : loginFailure(login, error, offered);
  });
}

/**
 * The host key that a server offers now, seen in one connection that does not log in: OpenSSH 9.8 and newer count
 * those against our address, so this is for enrolment alone. Failures: Unreachable, Penalised, UnsupportedHost.
 */
export async function offeredHostKey(address: string, port: number, signal?: AbortSignal): Promise<HostKey> {
  const offered: HostKey[] = [];
  const config: ConnectConfig = {
    username: 'root',
    algorithms: { ...ALGORITHMS, serverHostKey: signaturesFor(null) },
    hostVerifier: (key: Buffer): boolean => {
      offered.push(describeHostKey(key));
      return false;
    },
  };
  const where = { name: address, address, port, user: 'root', hostKey: '' };
  const open = await connect(where, config, signal).catch((error: LoginError) => {
    if (offered.length === 0)
      throw signal?.aborted === true ? (signal.reason as Error) : loginFailure(where, error, null);
  });
  open?.socket.destroy();
  const [key] = offered;
  if (key === undefined) throw new Error('ssh2 logged in without asking for the host key');
  return key;
}

async function connect(
  { address, port }: Pick<Login, 'address' | 'port'>,
  config: ConnectConfig,
  signal?: AbortSignal,
): Promise<LoggedIn> {
  signal?.throwIfAborted();
  const client = new Client();
  // Nagle's algorithm costs 40 ms a round trip here.
  const socket = connectSocket({ host: address, port, noDelay: true });
  let greeted = false;
  return await new Promise<LoggedIn>((resolve, reject) => {
    const refuse = (error: LoginError): void => {
      error.greeted = greeted;
      signal?.removeEventListener('abort', abort);
      socket.destroy();
      reject(error);
    };
    const abort = (): void => refuse(signal?.reason as Error);
    signal?.addEventListener('abort', abort, { once: true });
    client
      .on('handshake', () => {
        greeted = true;
      })
      // Stays for the client's whole life: an error event without a listener would end the process.
      .on('error', refuse)
      .on('close', () => refuse(new Error('The server closed the connection during the login')))
      .on('ready', () => {
        signal?.removeEventListener('abort', abort);
        resolve({ client, socket });
      });
    try {
      client.connect({ sock: socket, readyTimeout: LOGIN_MILLISECONDS, ...KEEPALIVE, ...config });
    } catch (error) {
      refuse(error as LoginError);
    }
  });
}
