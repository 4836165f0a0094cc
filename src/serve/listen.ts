import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import { createAdaptorServer, type ServerType } from '@hono/node-server';
import type { Chom } from '../client/open.js';
import { UPLOAD_MS } from '../client/source.js';
import { failure } from '../workflows/failures.js';
import { apiApp } from './app.js';
import type { Rates } from './bearer.js';
import { readTls, renewTls, type TlsFiles } from './tls.js';
import { UPLOAD_PATH } from './uploads.js';

/** Where and how the API is served. */
export interface Listening {
  host: string;
  /** 0: any that is free. */
  port: number;
  /** Null: HTTP, on loopback alone. */
  tls: TlsFiles | null;
  log(line: string): void;
  rates?: Rates;
  checkEvery?: number;
  /** How long a request that is no upload may take to arrive, in milliseconds; 20 s unless said. */
  arrivalMs?: number;
  /** How often it is looked for a renewed certificate, in milliseconds; a minute unless said. */
  renewMs?: number;
}

export interface ApiServer {
  url: string;
  /** Ends streams and connections, and resolves once all are gone. */
  close(): Promise<void>;
}

const HEADERS_MS = 10_000;
const ARRIVAL_MS = 20_000;
/** A connection on which nothing moves for so long is ended; streams say something every 15 s. */
const SILENCE_MS = 60_000;
const MOST_CONNECTIONS = 1000;

/** Serves the API until it is closed. @throws InvalidInput the files or the address cannot be used */
export async function serveApi(chom: Chom, listening: Listening): Promise<ApiServer> {
  const { host, port, tls, log, rates, checkEvery, arrivalMs = ARRIVAL_MS } = listening;
  if (tls === null && !['127.0.0.1', '::1', 'localhost'].includes(host)) {
    throw failure('InvalidInput', `Without TLS the API is not served at ${host}`, {
      cause: 'tokens would travel in the clear',
      next: 'give --tls-cert and --tls-key, or leave --host out',
    });
  }
  const closing = new AbortController();
  const app = apiApp({
    ...{ chom, log, closing: closing.signal, tls: tls !== null },
    ...(rates && { rates }),
    ...(checkEvery !== undefined && { checkEvery }),
  });
  const options = {
    headersTimeout: Math.min(HEADERS_MS, arrivalMs),
    requestTimeout: UPLOAD_MS,
    keepAliveTimeout: 5000,
    // How soon what is late is noticed.
    connectionsCheckingInterval: Math.min(1000, arrivalMs),
  };
  const { fetch } = app;
  const served = tls && (await readTls(tls));
  const server = served
    ? createAdaptorServer({
        fetch,
        createServer: createHttpsServer,
        serverOptions: { ...options, ...served, handshakeTimeout: HEADERS_MS },
      })
    : createAdaptorServer({ fetch, createServer: createHttpServer, serverOptions: options });
  server.maxConnections = MOST_CONNECTIONS;
  (server as ReturnType<typeof createHttpServer>).prependListener('request', expectSoon(arrivalMs));
  (server as ReturnType<typeof createHttpServer>).setTimeout(SILENCE_MS);
  await listen(server, host, port);
  const { port: bound } = server.address() as AddressInfo;
  const shown = host.includes(':') ? `[${host}]` : host;
  const { renewMs: everyMs } = listening;
  const renewing = { log, ...(everyMs !== undefined && { everyMs }) };
  const endRenewing = tls && served && renewTls(server as TlsServer, tls, { ...renewing, served });
  return {
    url: `${tls ? 'https' : 'http'}://${shown}:${bound}`,
    async close() {
      endRenewing?.();
      closing.abort();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const ended = server as ReturnType<typeof createHttpServer>;
      ended.closeIdleConnections();
      const rest = setTimeout(() => ended.closeAllConnections(), 5000);
      await closed;
      clearTimeout(rest);
    },
  };
}

/** Ends what has not arrived in time: Node has one limit for all, and that is the one of uploads. */
function expectSoon(arrivalMs: number) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    if (request.method === 'POST' && request.url === UPLOAD_PATH) return;
    const late = setTimeout(() => {
      const { socket } = request;
      if (response.headersSent) socket.destroy();
      else socket.end('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n');
    }, arrivalMs);
    const arrived = () => clearTimeout(late);
    request.once('end', arrived).once('close', arrived);
  };
}

async function listen(server: ServerType, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        failure('InvalidInput', `The API cannot be served at ${host}:${port}`, {
          cause: error.message,
          next: 'end what uses the port, or choose another with --port or --host',
        }),
      );
    });
    server.listen(port, host, () => resolve());
  });
}
