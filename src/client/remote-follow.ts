import { setTimeout as sleep } from 'node:timers/promises';
import type { Operation } from '../inventory/operations.js';
import { isFailureType } from '../workflows/failures.js';
import type { Session } from './cli.js';
import { openDisplay } from './display.js';
import { parseTimeout } from './follow.js';
import { EXIT, type Problem } from './problem.js';
import { callApi, problemIn, type RemoteApi, send, unreachable } from './remote-api.js';
import type { SeenDocument } from './seen-document.js';
import type { Seen } from './watch.js';

/** The row of the inventory, as far as the API tells of it. */
interface Told {
  operation: string;
  kind: string;
  status: string;
  state: string;
  askedAt: string;
  startedAt: string | null;
  error: Omit<Problem, 'operation' | 'exitStatus'> | null;
}

/** After so many failures in a row to get at the events, at growing pauses, it is given up; the operation goes on. */
const MOST_TRIES = 8;

/** As `follow`, over the API. Returns the exit status. */
export async function followRemotely(
  session: Session,
  api: RemoteApi,
  id: string,
  { detach, timeout }: { detach?: boolean; timeout?: string },
): Promise<number> {
  const { cli, output } = session;
  const limit = parseTimeout(timeout);
  const running = { operation: id, status: 'running' };
  if (detach) {
    output.say(`Asked for. Follow it with: chom op watch ${id}`);
    output.data(running, id);
    return EXIT.ok;
  }
  const left = new AbortController();
  const interrupt = () => left.abort('interrupted');
  process.once('SIGINT', interrupt);
  const timer = limit === null ? undefined : setTimeout(() => left.abort('timeout'), limit);
  const display = openDisplay(cli);
  try {
    const end = await toTheEnd(api, id, left.signal, (seen) => display.show(seen));
    display.end();
    return await conclude(session, api, end);
  } catch (error) {
    display.end();
    if (!left.signal.aborted) throw error;
    const timedOut = left.signal.reason === 'timeout';
    output.say(
      `${timedOut ? 'It takes longer than that' : 'Left'}; the operation goes on. Follow it with: chom op watch ${id}`,
    );
    output.data(running, '');
    return timedOut ? EXIT.timedOut : EXIT.detached;
  } finally {
    clearTimeout(timer);
    process.off('SIGINT', interrupt);
  }
}

/** Takes the events up again whenever their stream is cut. */
async function toTheEnd(
  api: RemoteApi,
  id: string,
  signal: AbortSignal,
  onSeen: (seen: Seen) => void,
): Promise<SeenDocument> {
  for (let failed = 0; ; failed += 1) {
    try {
      const path = `/v1/operations/${encodeURIComponent(id)}/events`;
      const response = await send(api, { method: 'GET', path }, { signal });
      if (!response.ok) throw problemIn((await response.json()) as Record<string, unknown>, response.status);
      for await (const { event, data } of events(response)) {
        failed = 0;
        if (event === 'problem') throw problemIn(JSON.parse(data) as Record<string, unknown>, response.status);
        const document = JSON.parse(data) as SeenDocument;
        onSeen(seenOf(document));
        if (event === 'end') return document;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (isFailureType(Reflect.get(Object(error), 'type'))) throw error;
      if (failed >= MOST_TRIES) throw unreachable(api, error);
    }
    await sleep(Math.min(10_000, 500 * 2 ** failed), undefined, { signal });
  }
}

/** Server-sent events (HTML Living Standard, 9.2), as far as the API sends them: one line of data each. */
async function* events(response: Response): AsyncIterable<{ event: string; data: string }> {
  if (!response.body) return;
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const field = (name: string) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(block)?.[1];
      const data = field('data');
      if (data !== undefined) yield { event: field('event') ?? 'message', data };
    }
  }
}

/** As far as a display looks at it. */
function seenOf({ operation, steps, warnings, question, silent, children }: SeenDocument): Seen {
  const { operation: id, kind, state, status, askedAt, startedAt } = operation as Told;
  const outcome = state === 'ended' ? (status === 'deferred' ? 'failed' : status) : null;
  return {
    operation: { id, kind, state, outcome, askedAt, startedAt } as unknown as Operation,
    ...{ steps, warnings, question, silence: silent ? 'how far it is cannot be said now' : null },
    children: children.map(seenOf),
  };
}

async function conclude({ output }: Session, api: RemoteApi, { operation, warnings }: SeenDocument): Promise<number> {
  const { operation: id, kind, status, error } = operation as Told;
  if (status !== 'succeeded') {
    const cancelled = { type: 'Unexpected', message: 'The operation was cancelled', cause: null, next: null } as const;
    const problem = error ?? { ...cancelled, server: null, step: null };
    const ended = status === 'cancelled' ? 'cancelled' : 'failed';
    return output.problem({ ...problem, operation: id, exitStatus: EXIT.failed }, ended, { warnings });
  }
  output.say(`${kind} succeeded${warnings.length > 0 ? ' with warnings' : ''}`);
  const login = kind === 'provision-site' ? await takeLogin(api, id) : null;
  const text =
    login &&
    `\nThe administrator's first login. It is shown once and kept nowhere:\n\n  ${login.user}\n  ${login.password}`;
  output.data({ operation: id, status, warnings, ...(login && { admin: login }) }, text ?? '');
  return EXIT.ok;
}

/** Null where there is none, or the token may not see it. */
async function takeLogin(api: RemoteApi, id: string): Promise<{ user: string; password: string } | null> {
  const path = `/v1/operations/${encodeURIComponent(id)}/login`;
  const told = await callApi(api, { method: 'POST', path, body: {} }).catch(() => ({ admin: null }));
  return told['admin'] as { user: string; password: string } | null;
}
