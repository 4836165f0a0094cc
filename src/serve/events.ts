import type { Context } from 'hono';
import { streamSSE, type SSEStreamingApi } from 'hono/streaming';
import { seenDocument } from '../client/seen-document.js';
import { watch } from '../client/watch.js';
import * as tokens from '../inventory/api-tokens.js';
import * as operations from '../inventory/operations.js';
import type { Env, Serving } from './app.js';
import { operation as operationId } from './parameters.js';
import { describeFailure, Refusal } from './problem.js';

/** How many streams a token may have at once: each asks the inventory four times a second. */
const MOST_STREAMS = 20;

/** A proxy in between ends what says nothing for a minute. */
const PING_MS = 15_000;

/**
 * Follows an operation to its end as server-sent events: `seen` whenever something has changed, then `end`; or
 * `problem`, when the token may not be used any more.
 * @throws NotFound no such operation; Refusal
 */
export async function streamEvents(c: Context<Env>, serving: Serving, streams: Map<string, number>): Promise<Response> {
  const [token, chom] = [c.get('token'), c.get('chom')];
  const id = operationId.safeParse(c.req.param('operation')).data ?? '';
  await operations.byId(chom.inventory.db, id, chom);
  const open = streams.get(token.id) ?? 0;
  if (open >= MOST_STREAMS) {
    throw new Refusal(429, `The token has ${open} streams open`, { headers: { 'Retry-After': '5' } });
  }
  streams.set(token.id, open + 1);
  // A proxy that collects what it passes on would hold events back.
  c.header('X-Accel-Buffering', 'no');
  return streamSSE(c, async (stream) => {
    const left = new AbortController();
    stream.onAbort(() => left.abort());
    const closing = () => left.abort();
    serving.closing.addEventListener('abort', closing, { once: true });
    const send = sender(stream);
    let revoked = false;
    const check = setInterval(() => {
      tokens.stillUsable(chom.inventory.db, token.id).then(
        (usable) => {
          revoked = !usable;
          if (revoked) left.abort();
        },
        () => undefined,
      );
    }, serving.checkEvery ?? 2000);
    const ping = setInterval(() => void stream.write(': still here\n\n'), PING_MS);
    try {
      const seen = await watch(chom, id, {
        signal: left.signal,
        onSeen: (now) => send.latest('seen', JSON.stringify(seenDocument(now))),
      });
      await send.last('end', JSON.stringify(seenDocument(seen)));
    } catch (error) {
      if (revoked) {
        const refused = new Refusal(401, 'The token may not be used any more');
        await send.last('problem', JSON.stringify(describeFailure(refused).document));
      } else if (!left.signal.aborted) {
        const { document, told } = describeFailure(error);
        if (!told) serving.log(`The events of ${id} ended: ${String(error)}`);
        await send.last('problem', JSON.stringify(document));
      }
    } finally {
      clearInterval(check);
      clearInterval(ping);
      serving.closing.removeEventListener('abort', closing);
      streams.set(token.id, (streams.get(token.id) ?? 1) - 1);
    }
  });
}

/** Sends what has changed, one event at a time: of what a slow reader has not taken yet, the latest alone. */
function sender(stream: SSEStreamingApi) {
  let before = '';
  let pending: { event: string; data: string } | null = null;
  let sending: Promise<void> = Promise.resolve();
  const drain = async () => {
    while (pending !== null) {
      const next = pending;
      pending = null;
      await stream.writeSSE(next);
    }
  };
  return {
    latest(event: string, data: string): void {
      if (data === before) return;
      before = data;
      const idle = pending === null;
      pending = { event, data };
      if (idle) sending = sending.then(drain);
    },
    async last(event: string, data: string): Promise<void> {
      await sending;
      await stream.writeSSE({ event, data });
    },
  };
}
