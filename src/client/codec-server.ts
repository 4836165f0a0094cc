import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Payload } from '@temporalio/common';
import type { Keyring } from '../inventory/keyring.js';
import { failure } from '../workflows/failures.js';
import { payloadCodec } from './payload-codec.js';

/** Payloads as the Temporal UI and CLI send them: every bytes field in base64. */
interface JsonPayload {
  metadata?: Record<string, string>;
  data?: string;
}

const LIMIT_BYTES = 16 * 1024 * 1024;

/**
 * Opens sealed payloads for the Temporal UI, on loopback unless told otherwise. Only pages of `uiOrigin` may ask from a browser, and
 * only under a loopback name, so that no other site reads histories through the operator's browser (CORS, DNS
 * rebinding). Whoever is no browser needs the token; without one nobody else is let in. https://docs.temporal.io/production-deployment/data-encryption (2026-11)
 * @param listen the port, the option by which another one is chosen, the token (`Authorization: Bearer …`), and the address: in a
 * container that of the container, whose port is published on loopback
 * @throws InvalidInput when the port is in use
 */
export async function startCodecServer(
  keyring: Keyring,
  listen: { port: number; host?: string; option: string; token?: string | undefined },
  uiOrigins: readonly string[],
): Promise<Server> {
  const { port, host: address = '127.0.0.1', option, token } = listen;
  const codec = payloadCodec(keyring);
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { origin, host } = request.headers;
    if (!/^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(host ?? '')) return end(response, 403);
    if (origin !== undefined && !uiOrigins.includes(origin)) return end(response, 403);
    if (origin === undefined && !bears(request, token)) return end(response, 401);
    if (origin !== undefined) {
      response.setHeader('Access-Control-Allow-Origin', origin);
      response.setHeader('Vary', 'Origin');
      response.setHeader('Access-Control-Allow-Methods', 'POST, OPTIONS');
      response.setHeader('Access-Control-Allow-Headers', 'content-type, x-namespace');
    }
    if (request.method === 'OPTIONS') return end(response, 204);
    if (request.method !== 'POST' || request.url !== '/decode') return end(response, 404);
    const payloads = parse(await body(request));
    if (!payloads) return end(response, 400);
    const decoded = await codec.decode(payloads.map((payload) => fromJson(payload)));
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ payloads: decoded.map((payload) => toJson(payload)) }));
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => end(response, 500));
  });
  return await new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        failure('InvalidInput', `The codec server cannot listen on ${address}:${port}`, {
          cause: error.message,
          next: `end what uses the port, or choose another with ${option}`,
        }),
      );
    });
    server.listen(port, address, () => resolve(server));
  });
}

function bears({ headers }: IncomingMessage, token: string | undefined): boolean {
  if (token === undefined) return false;
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(headers.authorization ?? ''), digest(`Bearer ${token}`));
}

function end(response: ServerResponse, status: number): void {
  response.statusCode = status;
  response.end();
}

async function body(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LIMIT_BYTES) throw new RangeError('request too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(text: string): JsonPayload[] | null {
  try {
    const { payloads } = JSON.parse(text) as { payloads?: unknown };
    return Array.isArray(payloads) ? (payloads as JsonPayload[]) : null;
  } catch {
    return null;
  }
}

function fromJson({ metadata = {}, data = '' }: JsonPayload): Payload {
  const entries = Object.entries(metadata).map(([key, value]) => [key, Buffer.from(value, 'base64')] as const);
  return { metadata: Object.fromEntries(entries), data: Buffer.from(data, 'base64') };
}

function toJson({ metadata, data }: Payload): JsonPayload {
  const entries = Object.entries(metadata ?? {}).map(([key, value]) => [key, base64(value)] as const);
  return { metadata: Object.fromEntries(entries), data: base64(data ?? new Uint8Array()) };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
