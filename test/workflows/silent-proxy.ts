import { connect, createServer, type Server, type Socket } from 'node:net';
import { freePort } from '../../lab/ports.js';

/** A way to a server that can fall silent. */
export interface SilentProxy {
  address: string;
  /** Connections stay open, and nothing of them arrives any more. Those that are made afterwards work. */
  silence(): void;
  close(): Promise<void>;
}

/** `target`: where the server is, `host:port`, or the path of its socket. */
export async function startSilentProxy(target: string): Promise<SilentProxy> {
  const [host = '', port] = target.split(':');
  const to = port === undefined ? { path: target } : { host, port: Number(port) };
  const open = new Set<Socket>();
  let through = new Set<Socket>();
  const server: Server = createServer((socket) => {
    const further = connect(to);
    for (const [from, onto] of [
      [socket, further],
      [further, socket],
    ] as const) {
      open.add(from);
      through.add(from);
      from.on('data', (chunk) => through.has(from) && onto.write(chunk));
      from.on('error', () => onto.destroy());
      from.on('close', () => {
        open.delete(from);
        onto.destroy();
      });
    }
  });
  const own = await freePort();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(own, '127.0.0.1', resolve);
  });
  return {
    address: `127.0.0.1:${own}`,
    silence: () => void (through = new Set()),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
