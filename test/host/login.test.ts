import { ApplicationFailure } from '@temporalio/common';
import { afterEach, describe, expect, it } from 'vitest';
import { logIn, offeredHostKey } from '../../src/host/login.js';
import { keyPair, sshServer, tcpServer } from './ssh-server.js';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

async function server() {
  const made = await sshServer((channel) => channel.exit(0));
  closers.push(made.close);
  return made;
}

async function failureOf(work: Promise<unknown>): Promise<ApplicationFailure> {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof ApplicationFailure) return error;
  throw new Error(`expected a failure, got ${String(error)}`);
}

describe('logIn', () => {
  it('gets in with the right key at the pinned server', async () => {
    const { login, logins } = await server();
    const { client } = await logIn(login);
    client.end();
    expect(logins()).toBe(1);
  });

  it('[SE-04] stops before it authenticates where the host key is another one', async () => {
    const { login, logins } = await server();
    const hostKey = keyPair().publicKey;
    const failure = await failureOf(logIn({ ...login, hostKey }));
    expect(failure.type).toBe('HostKeyMismatch');
    expect(failure.message).toContain('web1');
    expect(logins()).toBe(0);
  });

  it('[SE-04] takes a server without a key of the pinned type for another server', async () => {
    const { login, logins } = await server();
    expect((await failureOf(logIn({ ...login, hostKey: keyPair('rsa').publicKey }))).type).toBe('HostKeyMismatch');
    expect(logins()).toBe(0);
  });

  it('says that the key was refused, and nothing of the key', async () => {
    const { login } = await server();
    const { privateKey } = keyPair();
    const failure = await failureOf(logIn({ ...login, privateKey }));
    expect(failure.type).toBe('LoginRefused');
    expect(JSON.stringify(failure)).not.toContain(privateKey.toString().slice(60, 90));
  });

  it('says that a stored key is unreadable', async () => {
    const { login } = await server();
    expect((await failureOf(logIn({ ...login, privateKey: Buffer.from('no key') }))).type).toBe('LoginRefused');
  });

  it('finds nobody where nothing listens', async () => {
    const { login, close } = await server();
    await close();
    closers.pop();
    const failure = await failureOf(logIn(login));
    expect(failure.type).toBe('Unreachable');
    expect(failure.details?.[0]).toMatchObject({ server: 'web1', next: `ssh -p ${login.port} root@127.0.0.1 true` });
  });

  it.each([
    ['closes', 'close'],
    ['says “Not allowed at this time” and closes', 'Not allowed at this time\r\n'],
    ['resets', 'reset'],
  ])('takes a server that %s before its banner for one that penalises us', async (_, answer) => {
    const { login } = await server();
    const { port, close } = await tcpServer((socket) => {
      if (answer === 'reset') socket.resetAndDestroy();
      else socket.end(answer === 'close' ? '' : answer);
    });
    closers.push(close);
    expect((await failureOf(logIn({ ...login, port }))).type).toBe('Penalised');
  });

  it('ends with the reason of its signal', async () => {
    const { login } = await server();
    const silent = await tcpServer(() => undefined);
    const abort = new AbortController();
    const work = logIn({ ...login, port: silent.port }, abort.signal);
    abort.abort(new Error('enough'));
    await expect(work).rejects.toThrow('enough');
    await silent.close();
  });
});

describe('offeredHostKey', () => {
  it('shows the key without logging in', async () => {
    const { login, logins } = await server();
    const offered = await offeredHostKey('127.0.0.1', login.port);
    expect(offered.key).toBe(login.hostKey);
    expect(offered.fingerprint).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
    expect(logins()).toBe(0);
  });
});
