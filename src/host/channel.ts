import type { Client, ClientChannel } from 'ssh2';
import { failure } from '../workflows/failures.js';

/** One command on an open connection. */
export interface Command {
  /** As the remote user's login shell reads it: fixed text, no value of ours. */
  line: string;
  /** Bytes for its stdin. */
  input: AsyncIterable<Uint8Array>;
  onStdout: (chunk: Buffer) => void;
  onStderr: (chunk: Buffer) => void;
  /** Opening the channel counts too: on a dead link its answer never comes. */
  limitSeconds: number;
  /** Ends the command with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * Runs a command to its end and returns its exit status, which is never a guess: ssh2 reports `null` for a program that
 * a signal ended (CommandFailed) and `undefined` where the connection ended first (ConnectionLost: it may still run).
 * Failures besides: TimedOut. An error that `input` throws ends the command and is thrown on.
 */
export async function runCommand(client: Client, server: string, command: Command): Promise<number> {
  const { signal, limitSeconds } = command;
  signal?.throwIfAborted();
  const ended = new AbortController();
  const timer = setTimeout(() => {
    const what = `A command on ${server} did not end within ${limitSeconds} seconds`;
    ended.abort(failure('TimedOut', what, { server, cause: 'The server is overloaded, or the program hangs' }));
  }, limitSeconds * 1000);
  const forward = (): void => ended.abort(signal?.reason);
  signal?.addEventListener('abort', forward, { once: true });
  try {
    const channel = await open(client, server, command.line, ended.signal);
    return await finish(channel, server, command, ended);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', forward);
  }
}

async function open(client: Client, server: string, line: string, signal: AbortSignal): Promise<ClientChannel> {
  return await new Promise<ClientChannel>((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    try {
      client.exec(line, (error, channel) => {
        signal.removeEventListener('abort', abort);
        if (error !== undefined) reject(lost(server, error.message));
        else if (signal.aborted) channel.close();
        else resolve(channel);
      });
    } catch (error) {
      reject(lost(server, (error as Error).message));
    }
  });
}

async function finish(
  channel: ClientChannel,
  server: string,
  { input, onStdout, onStderr }: Command,
  ended: AbortController,
): Promise<number> {
  // The window is one for both streams: an unread one would stop the other and the end of both.
  channel.on('data', onStdout);
  channel.stderr.on('data', onStderr);
  const { promise, resolve, reject } = withResolvers<number>();
  const abort = (): void => {
    channel.close();
    reject(ended.signal.reason as Error);
  };
  ended.signal.addEventListener('abort', abort, { once: true });
  let closed = false;
  channel.on('close', (exit: number | null | undefined, by?: string) => {
    closed = true;
    if (exit === undefined) reject(lost(server, 'no exit status came'));
    else if (exit !== null) resolve(exit);
    else
      reject(failure('CommandFailed', `A command on ${server} was ended by the signal ${by ?? 'unknown'}`, { server }));
  });
  channel.on('error', () => undefined);
  // A failing input must end the command; a command that ends first does not wait for its input.
  feed(channel, input, () => closed).catch((error: unknown) => ended.abort(error));
  try {
    return await promise;
  } finally {
    ended.signal.removeEventListener('abort', abort);
  }
}

/** ssh2 does not call back for a write to a channel that is closing, so the close is waited for as well. */
async function feed(channel: ClientChannel, input: AsyncIterable<Uint8Array>, closed: () => boolean): Promise<void> {
  for await (const chunk of input) {
    if (closed()) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        channel.off('close', done);
        resolve();
      };
      channel.once('close', done);
      channel.write(chunk, done);
    });
  }
  if (!closed()) channel.end();
}

function lost(server: string, cause: string): Error {
  return failure('ConnectionLost', `The connection to ${server} was lost: ${cause}`, {
    server,
    cause: 'The network was cut, or the server went down or restarted',
    next: `chom server show ${server}`,
  });
}

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
