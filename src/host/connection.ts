import { failure } from '../workflows/failures.js';
import { abortable } from './abortable.js';
import type { LoginGate } from './login-gate.js';
import { logIn, type LoggedIn, type Login } from './login.js';
import { runScript, type Result, type Run } from './remote-shell.js';
import { createSemaphore } from './semaphore.js';

/** One login to one server, made when it is needed and again after it was lost. */
export interface Connection {
  readonly login: Login;
  run(run: Run): Promise<Result>;
  /** The same for what may take long: these leave channels free for the others. */
  runLong(run: Run): Promise<Result>;
  /** Logs in now, where that has not happened yet. */
  open(signal?: AbortSignal): Promise<void>;
  /** Fails what still runs with ConnectionLost. */
  close(): Promise<void>;
}

/** Where logins and losses are reported; a pino logger is one. */
export interface ConnectionLog {
  info(fields: object, message: string): void;
}

export interface ConnectionOptions {
  gate: LoginGate;
  log: ConnectionLog;
  /** Without a command for so long, the connection is closed, also where no login succeeded. */
  idleMilliseconds: number;
  /** Told then, so that keys which are no longer used do not stay in memory. */
  onIdle: () => void;
}

/** sshd allows ten (MaxSessions); each channel is one. */
const CHANNELS = 8;
/** Followers of jobs hold their channels for minutes; a read, a stop and an upload must not wait for them. */
const LONG_CHANNELS = 5;

/** Failures of its runs: those of `logIn`, of `runScript`, and ConnectionLost after `close`. */
export function createConnection(login: Login, { gate, log, idleMilliseconds, onIdle }: ConnectionOptions): Connection {
  const channels = createSemaphore(CHANNELS);
  const long = createSemaphore(LONG_CHANNELS);
  const server = login.name;
  let client: Promise<LoggedIn> | null = null;
  let busy = 0;
  let idle: NodeJS.Timeout | undefined;
  const closing = new AbortController();

  /** All who wait for a login share it; one who gives up does not end it for the others. */
  function connected(): Promise<LoggedIn> {
    if (client !== null) return client;
    const endpoint = `${login.address}:${login.port}`;
    const opening = gate.pass(endpoint, () => logIn(login, closing.signal), closing.signal);
    client = opening;
    const forget = (): void => {
      if (client === opening) client = null;
    };
    opening.then((open) => {
      log.info({ server, address: endpoint, key: login.keyId }, 'connected');
      // A channel opened in the same turn fails as lost by itself; the next one finds a new connection.
      open.client.on('close', () => {
        if (client === opening) log.info({ server, address: endpoint }, 'connection lost');
        forget();
      });
    }, forget);
    return opening;
  }

  function rest(): void {
    clearTimeout(idle);
    if (busy > 0 || closing.signal.aborted) return;
    idle = setTimeout(() => {
      const open = client;
      client = null;
      void open?.then(end, () => undefined);
      onIdle();
    }, idleMilliseconds);
    idle.unref();
  }

  async function perform(run: Run): Promise<Result> {
    if (closing.signal.aborted) throw closing.signal.reason as Error;
    busy += 1;
    clearTimeout(idle);
    try {
      // Before the line for a channel: whoever waits there would otherwise try a dead server again, one after another.
      await abortable(connected(), run.signal);
      const work = async (): Promise<Result> => {
        const { client: open } = await abortable(connected(), run.signal);
        return await runScript(open, login, run);
      };
      return await channels.run(work, run.signal);
    } finally {
      busy -= 1;
      rest();
    }
  }

  return {
    login,
    run: perform,
    async runLong(run) {
      await abortable(connected(), run.signal);
      return await long.run(() => perform(run), run.signal);
    },
    async open(signal) {
      await abortable(connected(), signal);
      rest();
    },
    async close() {
      clearTimeout(idle);
      closing.abort(failure('ConnectionLost', `CHOM closed its connection to ${server}`, { server }));
      const open = await client?.catch(() => null);
      client = null;
      if (open) await end(open);
    },
  };
}

async function end({ client, socket }: LoggedIn): Promise<void> {
  if (socket.closed) return;
  const closed = new Promise((resolve) => socket.once('close', resolve));
  client.end();
  // A dead link never answers.
  const timer = setTimeout(() => socket.destroy(), 1_000);
  await closed;
  clearTimeout(timer);
}
