import { connect, createServer, type Server, type Socket } from 'node:net';
import { freePort } from '../../lab/ports.js';

/** A way to Temporal that can fall silent. */
export interface SilentProxy {
  address: string;
  /** Connections stay open, and nothing of them arrives any more. Those that are made afterwards work. */
  silence(): void;
  close(): Promise<void>;
}

/** `target`: where Temporal is, `host:port`. */
export async function startSilentProxy(target: string): Promise<SilentProxy> {
  const [host = '', targetPort = ''] = target.split(':');
  const open = new Set<Socket>();
  let through = new Set<Socket>();
  const server: Server = createServer((socket) => {
    const further = connect(Number(targetPort), host);
    for (const [from, to] of [
      [socket, further],
      [further, socket],
    ] as const) {
      open.add(from);
      through.add(from);
      from.on('data', (chunk) => through.has(from) && to.write(chunk));
      from.on('error', () => to.destroy());
      from.on('close', () => {
        open.delete(from);
        to.destroy();
      });
    }
  });
  const port = await freePort();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    address: `127.0.0.1:${port}`,
    silence: () => void (through = new Set()),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
