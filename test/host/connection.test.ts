import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { createConnection } from '../../src/host/connection.js';
import type { LoginGate } from '../../src/host/login-gate.js';
import { createHosts } from '../../src/host/pool.js';
import { sh } from '../../src/host/shell.js';
import { sshServer, tcpServer } from './ssh-server.js';
import { execFile } from 'node:child_process';
import type { ServerChannel } from 'ssh2';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const log = { info: () => undefined };

/** Answers a command as sshd does, by a shell on this machine; `noise` is what a .bashrc says first. */
function shell(channel: ServerChannel, noise = ''): void {
  channel.write(noise);
  channel.stderr.write(noise);
  const script = 's=$(head -c LENGTH) && eval "$s"';
  let input = Buffer.alloc(0);
  channel.on('data', (chunk: Buffer) => {
    input = Buffer.concat([input, chunk]);
    if (!input.toString().endsWith('\n}\n')) return;
    const child = execFile(
      '/bin/sh',
      ['-c', script.replace('LENGTH', String(input.length))],
      { encoding: 'buffer' },
      (error, stdout, stderr) => {
        channel.write(stdout);
        channel.stderr.write(stderr);
        if (error?.signal) channel.exit(error.signal, false, '');
        else channel.exit(typeof error?.code === 'number' ? error.code : 0);
        channel.end();
      },
    );
    child.stdin?.end(input);
  });
}

async function hostOver(exec: Parameters<typeof sshServer>[0]) {
  const server = await sshServer(exec);
  const hosts = createHosts({ log, resolve: () => Promise.resolve(server.login) });
  closers.push(server.close, () => hosts.close());
  return { server, hosts, host: await hosts.for('1') };
}

it('is forgotten with its key after a while without use, whether or not a login succeeded', async () => {
  const server = await sshServer((channel) => shell(channel));
  closers.push(server.close);
  for (const letsIn of [true, false]) {
    const gate: LoginGate = {
      pass: async (_, logIn) => {
        if (letsIn) return await logIn();
        throw new Error('the server is away');
      },
    };
    let forgotten = 0;
    const onIdle = () => void (forgotten += 1);
    const connection = createConnection(server.login, { gate, log, idleMilliseconds: 50, onIdle });
    closers.push(() => connection.close());
    const { exit } = await connection.run({ script: sh`:`, limitSeconds: 30 }).catch(() => ({ exit: null }));
    expect(exit).toBe(letsIn ? 0 : null);
    await expect.poll(() => forgotten).toBe(1);
  }
});

describe('read', () => {
  it('gives output and exit code, and nothing of what the login shell says', async () => {
    const { host } = await hostOver((channel) => shell(channel, 'Welcome!\nYou have mail\n'));
    const output = await host.read(sh`echo ${"it's"}; echo no >&2; exit 3`);
    expect(output).toMatchObject({ exit: 3, stdout: "it's\n", stderr: 'no\n', already: false });
  });

  it('shares one login, and at most eight channels at once', async () => {
    let open = 0;
    let most = 0;
    const { server, host } = await hostOver((channel) => {
      open += 1;
      most = Math.max(most, open);
      channel.on('close', () => (open -= 1));
      shell(channel);
    });
    const outputs = await Promise.all(Array.from({ length: 40 }, (_, n) => host.read(sh`echo ${n}`)));
    expect(outputs.map(({ stdout }) => Number(stdout))).toEqual(Array.from({ length: 40 }, (_, n) => n));
    expect(server.logins()).toBe(1);
    expect(most).toBeLessThanOrEqual(8);
  });

  it('never takes a missing exit status for success', async () => {
    const { host } = await hostOver((channel) => channel.close());
    await expect(host.read(sh`:`)).rejects.toMatchObject({ type: 'ConnectionLost' });
  });

  it('takes death by a signal for a failure', async () => {
    const { host } = await hostOver((channel) => {
      channel.exit('KILL', false, '');
      channel.end();
    });
    await expect(host.read(sh`:`)).rejects.toMatchObject({
      type: 'CommandFailed',
      message: expect.stringContaining('KILL') as string,
    });
  });

  it('finds the link cut in the middle, and logs in again for the next one', async () => {
    let cut = true;
    const { server, host } = await hostOver((channel, client) => {
      if (cut) client.end();
      else shell(channel);
    });
    await expect(host.read(sh`:`)).rejects.toMatchObject({ type: 'ConnectionLost' });
    cut = false;
    expect(await host.read(sh`echo back`)).toMatchObject({ exit: 0, stdout: 'back\n' });
    expect(server.logins()).toBe(2);
  });

  it('ends with its deadline, and with the reason of its signal', async () => {
    const { host } = await hostOver(() => undefined);
    await expect(host.read(sh`:`, { limitSeconds: 0.1 })).rejects.toMatchObject({ type: 'TimedOut' });
    const abort = new AbortController();
    const reading = host.read(sh`:`, { signal: abort.signal });
    await sleep(10);
    abort.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
  });

  it('says that the account cannot run commands, or not as root', async () => {
    const says = (said: string) => (channel: ServerChannel) => {
      channel.stderr.write(said);
      channel.exit(1);
      channel.end();
    };
    const { host } = await hostOver(says('This account is currently not available.\n'));
    await expect(host.read(sh`:`)).rejects.toMatchObject({ type: 'LoginRefused' });
    const { server, hosts } = await hostOver(says('sudo: a password is required\n'));
    server.login.user = 'admin';
    await expect((await hosts.for('2')).read(sh`:`)).rejects.toMatchObject({
      type: 'LoginRefused',
      message: 'admin may not become root on web1 without a password',
    });
  });

  it('tells a script that is no shell from an account that has none', async () => {
    const { host } = await hostOver((channel) => shell(channel));
    await expect(host.read(sh`if`)).rejects.toMatchObject({ type: 'Bug' });
  });
});

describe('createHosts', () => {
  it('never uses a connection that was made with another key or address', async () => {
    const { server, hosts, host } = await hostOver((channel) => shell(channel));
    await host.read(sh`:`);
    Object.assign(server.login, { keyId: 'key-2' });
    await (await hosts.for('1')).read(sh`:`);
    expect(server.logins()).toBe(2);
  });

  it('proves a key by a login of its own', async () => {
    const { server, hosts, host } = await hostOver((channel) => shell(channel));
    await host.read(sh`:`);
    const proof = await hosts.withKey('1', { privateKey: server.login.privateKey, keyId: 'key-1' });
    expect(await proof.read(sh`echo proven`)).toMatchObject({ stdout: 'proven\n' });
    expect(server.logins()).toBe(2);
    const wrong = {
      privateKey: (
        await sshServer(() => undefined).then(async (other) => [other.login, await other.close()] as const)
      )[0].privateKey,
      keyId: 'x',
    };
    await expect(hosts.withKey('1', wrong)).rejects.toMatchObject({ type: 'LoginRefused' });
  });

  it('tries a server that penalises us once for all who wait', async () => {
    const dropping = await tcpServer((socket) => socket.end());
    const { login, close } = await sshServer(() => undefined);
    await close();
    const hosts = createHosts({ log, resolve: () => Promise.resolve({ ...login, port: dropping.port }) });
    closers.push(dropping.close, () => hosts.close());
    const all = await Promise.allSettled(
      Array.from({ length: 50 }, async () => await (await hosts.for('1')).read(sh`:`)),
    );
    expect(all.every((one) => one.status === 'rejected' && (one.reason as { type: string }).type === 'Penalised')).toBe(
      true,
    );
    expect(dropping.connections()).toBe(1);
  });
});
