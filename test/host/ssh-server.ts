import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ssh2, { type Connection } from 'ssh2';
import { describeHostKey } from '../../src/host/host-key.js';
import type { Login } from '../../src/host/login.js';

/** An OpenSSH key pair. */
export function keyPair(type: 'ed25519' | 'rsa' = 'ed25519'): { privateKey: Buffer; publicKey: string } {
  const directory = mkdtempSync(join(tmpdir(), 'chom-key-'));
  try {
    const file = join(directory, 'key');
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', '', '-f', file]);
    return { privateKey: readFileSync(file), publicKey: readFileSync(`${file}.pub`, 'utf8').trim() };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

export interface TestServer {
  /** How to get in. */
  login: Login;
  /** Logins that were let in so far. */
  logins: () => number;
  close: () => Promise<void>;
}

/** A real SSH server on loopback that lets one key in; `exec` answers every command. */
export async function sshServer(exec: (channel: ssh2.ServerChannel, client: Connection) => void): Promise<TestServer> {
  const host = keyPair();
  const user = keyPair();
  let logins = 0;
  const server = new ssh2.Server({ hostKeys: [host.privateKey] }, (client) => {
    client.on('error', () => undefined);
    client.on('authentication', (attempt) => {
      const [, blob = ''] = user.publicKey.split(' ');
      if (attempt.method === 'publickey' && attempt.key.data.equals(Buffer.from(blob, 'base64'))) attempt.accept();
      else attempt.reject(['publickey']);
    });
    client.on('ready', () => {
      logins += 1;
      client.on('session', (accept) => accept().on('exec', (take) => exec(take(), client)));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const [, blob = ''] = host.publicKey.split(' ');
  const { key } = describeHostKey(Buffer.from(blob, 'base64'));
  return {
    login: {
      name: 'web1',
      address: '127.0.0.1',
      port,
      user: 'root',
      hostKey: key,
      privateKey: user.privateKey,
      keyId: 'key-1',
    },
    logins: () => logins,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** A TCP server that answers every connection so. */
export async function tcpServer(answer: (socket: Socket) => void) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.resume();
    socket.on('error', () => undefined);
    answer(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => sockets.length,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
