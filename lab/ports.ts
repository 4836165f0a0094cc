import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below the ports that Linux gives to outgoing connections and to whoever listens on port 0 (32768 and up, ip(7)): one of
 * those may be taken again between its finding and its use.
 */
const FIRST = 20_000;
const LAST = 32_000;

/** Each of the processes that run tests side by side has a range of its own. */
const SHARES = 8;
const SHARE = Math.floor((LAST - FIRST) / SHARES);
const share = Number(process.env['VITEST_POOL_ID'] ?? process.pid) % SHARES;

/** A port of loopback that nothing listens on, and that nobody gets without asking for it. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST + share * SHARE, FIRST + (share + 1) * SHARE);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
