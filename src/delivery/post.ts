import { lookup as resolve } from 'node:dns';
import { type IncomingMessage, request as plain } from 'node:http';
import { request as secure } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { isPrivate } from '../host/private-address.js';
import { readRetryAfter } from '../retry-after.js';

/** What came of telling a receiver. */
export type Told =
  | { ok: true }
  | {
      ok: false;
      reason: string;
      /** It asks to be left alone for so long. */
      retryAfterSeconds?: number;
      /** It will never take this. */
      final?: true;
    };

export interface Post {
  url: string;
  headers: Record<string, string>;
  body: string;
  /** Addresses that are not public are refused otherwise, whatever name leads there. */
  allowPrivate: boolean;
  timeoutMilliseconds: number;
}

/** More of an answer is not read. */
const LONGEST_ANSWER = 4096;

/** Sends one request; redirects are not followed. Only a 2xx is a success. Never throws. */
export async function post({ url, headers, body, allowPrivate, timeoutMilliseconds }: Post): Promise<Told> {
  const { protocol, hostname } = new URL(url);
  const literal = hostname.replace(/^\[(.*)\]$/, '$1');
  if (!allowPrivate && isIP(literal) !== 0 && isPrivate(literal)) return { ok: false, reason: refusal(literal) };
  const send = protocol === 'https:' ? secure : plain;
  return await new Promise((done) => {
    const signal = AbortSignal.timeout(timeoutMilliseconds);
    const failed = (error: Error) => {
      const reason = signal.aborted ? `no answer within ${timeoutMilliseconds / 1000} s` : error.message;
      done({ ok: false, reason });
    };
    const length = String(Buffer.byteLength(body));
    const options = {
      ...{ method: 'POST', headers: { ...headers, 'content-length': length }, signal },
      // A connection that is kept would have passed this for another address than the name has now.
      agent: false as const,
      ...(!allowPrivate && { lookup: publicLookup }),
    };
    const request = send(url, options, (response) => {
      let said = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        if (said.length > LONGEST_ANSWER) response.destroy();
      });
      response.once('error', failed);
      response.once('close', () => done(answer(response, said)));
    });
    request.once('error', failed);
    request.end(body);
  });
}

function answer({ statusCode: status = 0, headers }: IncomingMessage, said: string): Told {
  if (status >= 200 && status < 300) return { ok: true };
  const [line = ''] = said.trim().split('\n');
  const reason = `it answered ${status}${line === '' ? '' : `: ${line.slice(0, 200)}`}`;
  if (status === 410) return { ok: false, reason, final: true };
  const wait = readRetryAfter(headers['retry-after'], headers['date']);
  return { ok: false, reason, ...(wait !== null && { retryAfterSeconds: wait }) };
}

/** As dns.lookup, but an address that is not public is an error: the one that is checked is the one connected to. */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  resolve(hostname, { ...options, all: true }, (error, found) => {
    if (error) return callback(error, '');
    const inside = found.find(({ address }) => isPrivate(address));
    if (inside) return callback(new Error(refusal(inside.address)), '');
    const [first] = found;
    if (options.all === true) return callback(null, found);
    callback(first ? null : new Error(`${hostname} has no address`), first?.address ?? '', first?.family);
  });
};

function refusal(address: string): string {
  return `${address} is not a public address, and the webhook was added without --allow-private`;
}
