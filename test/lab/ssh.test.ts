import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { poll } from '../../lab/poll.js';
import { logIn } from '../../src/host/login.js';
import { sh } from '../../src/host/shell.js';
import { keyPair } from '../host/ssh-server.js';
import { jobOf, loginOf, reach } from './reach.js';
import { debianHosts } from './debian-hosts.js';

const { hosts, lab, server } = debianHosts();

describe.each(['new', 'old'])('reaching the %s host', (name) => {
  it('shows the host key that it offers', async () => {
    const machine = lab().host(name);
    expect((await hosts().offeredHostKey(machine.address, 22)).fingerprint).toBe(machine.hostKey);
  });

  it('hears only the script, whatever .bashrc and the message of the day say', async () => {
    const { machine, host } = await server(name);
    await machine.exec(
      `printf 'echo Welcome; echo Warning >&2\\n' | tee /root/.bashrc >/root/.profile; echo hello >/etc/motd`,
    );
    expect(await host.read(sh`echo out; echo err >&2; exit 3`)).toMatchObject({
      exit: 3,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    expect(await host.job(jobOf({ act: sh`echo done` }))).toMatchObject({ exit: 0, stdout: 'done\n', stderr: '' });
    await machine.exec('rm /root/.bashrc /root/.profile /etc/motd');
  });

  it('works as a user with passwordless sudo, and says when there is none', async () => {
    const { machine } = await server(name);
    const shell = name === 'new' ? '/bin/sh' : '/bin/bash';
    await machine.exec(
      `useradd -m -s ${shell} admin && cp -r /root/.ssh /home/admin/ && chown -R admin: /home/admin/.ssh`,
    );
    const others = reach(lab().hosts, { user: 'admin' });
    const host = await others.for(name);
    await expect(host.read(sh`id -u`)).rejects.toMatchObject({
      type: 'LoginRefused',
      message: expect.stringContaining('admin') as string,
    });
    await machine.exec(`echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin`);
    expect(await host.read(sh`id -u; echo ${"it's"}; cat`)).toMatchObject({ exit: 0, stdout: "0\nit's\n" });
    expect(await host.job(jobOf({ act: sh`id -u` }))).toMatchObject({ exit: 0, stdout: '0\n' });
    await others.close();
  });

  it('takes the output of a signalled, a silent and an endless program for what it is', async () => {
    const { host } = await server(name);
    expect(await host.read(sh`sh -c 'kill -9 $$'`)).toMatchObject({ exit: 137 });
    await expect(host.read(sh`kill -9 $$`)).rejects.toMatchObject({
      type: 'CommandFailed',
      message: expect.stringContaining('KILL') as string,
    });
    const endless = await host.read(
      sh`head -c 20000000 /dev/zero | tr '\0' x; head -c 20000000 /dev/zero | tr '\0' y >&2; echo end`,
    );
    expect(endless.stdout).toBe(`${'x'.repeat(65_532)}end\n`);
    expect(endless.stderr).toBe('y'.repeat(65_536));
  });

  it('ends a read at its limit, on the host too', async () => {
    const { machine, host } = await server(name);
    await expect(host.read(sh`exec sleep 7654321`, { limitSeconds: 1 })).rejects.toMatchObject({ type: 'TimedOut' });
    await poll('the program is gone', 30_000, async () => (await machine.exec('pgrep -xf "sleep 7654321"')).exit !== 0);
  });
});

describe('an upload', () => {
  const bytes = Buffer.alloc(3_000_000, 'content ');
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const path = '/var/lib/chom/staging/it’s "an" archive.tar';

  async function* parts(content: Buffer, each = 100_000): AsyncGenerator<Buffer> {
    for (let at = 0; at < content.length; at += each) yield await Promise.resolve(content.subarray(at, at + each));
  }

  it('arrives whole, root’s alone, and is not sent twice', async () => {
    const { machine, host } = await server('new');
    const { claim } = jobOf();
    await host.upload({ path, sha256, claim, content: parts(bytes) });
    const { stdout } = await machine.exec(`cd /var/lib/chom/staging; cat it* | sha256sum; stat -c '%a %U' it*; ls`);
    expect(stdout).toBe(`${sha256}  -\n600 root\nit’s "an" archive.tar\n`);
    const unread = parts(bytes);
    await host.upload({ path, sha256, claim, content: unread });
    expect((await unread.next()).value).toEqual(bytes.subarray(0, 100_000));
  });

  it('leaves nothing where it is cut short, cancelled or not what was announced', async () => {
    const { machine, host } = await server('new');
    const { claim } = jobOf();
    const file = { path: `${path}.2`, sha256, claim };
    await expect(host.upload({ ...file, content: parts(bytes.subarray(1)) })).rejects.toMatchObject({
      type: 'SourceRejected',
    });
    const broken = async function* (): AsyncGenerator<Buffer> {
      yield* parts(bytes.subarray(0, 500_000));
      throw new Error('the source broke');
    };
    await expect(host.upload({ ...file, content: broken() })).rejects.toThrow('the source broke');
    const cancel = new AbortController();
    const endless = async function* (): AsyncGenerator<Buffer> {
      yield bytes.subarray(1);
      cancel.abort(new Error('cancelled'));
      await sleep(60_000, undefined, { ref: false });
    };
    await expect(host.upload({ ...file, content: endless() }, { signal: cancel.signal })).rejects.toThrow('cancelled');
    await poll(
      'nothing is left',
      60_000,
      async () => !(await machine.exec('ls /var/lib/chom/staging')).stdout.includes('.2'),
    );
  });

  it('says that the disk is full', async () => {
    const { machine, host } = await server('new');
    const { claim } = jobOf();
    await host.upload({ path: `${path}.3`, sha256, claim, content: parts(bytes) });
    await machine.fill();
    const content = parts(Buffer.alloc(20_000_000));
    await expect(host.upload({ path: `${path}.4`, sha256, claim, content })).rejects.toMatchObject({
      type: 'DiskFull',
    });
    await machine.unfill();
  });
});

describe('a server that is not as it was', () => {
  it('[SE-04] stops where the host key has changed, until the pin is changed too', async () => {
    const { machine } = await server('old');
    const before = reach(lab().hosts);
    await (await before.for('old')).read(sh`:`);
    await before.close();
    await machine.exec('cp -a /etc/ssh /root/ssh-before; rm /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh');
    const after = reach(lab().hosts);
    await expect((await after.for('old')).read(sh`:`)).rejects.toMatchObject({
      type: 'HostKeyMismatch',
      message: expect.stringContaining('old') as string,
    });
    const offered = await after.offeredHostKey(machine.address, 22);
    const repinned = reach(lab().hosts, { hostKey: offered.key });
    expect(await (await repinned.for('old')).read(sh`echo in`)).toMatchObject({ stdout: 'in\n' });
    await repinned.close();
    await after.close();
    await machine.exec('cp -a /root/ssh-before/. /etc/ssh/; systemctl restart ssh');
  });

  it('is logged in to again after its SSH server and itself restarted', async () => {
    const { machine, host } = await server('old');
    const back = async () =>
      await poll('it is back', 30_000, async () => await host.read(sh`echo in`).catch(() => false as const));
    await back();
    await machine.exec('systemctl restart ssh; pkill -f "sshd: root" || :');
    expect(await back()).toMatchObject({ stdout: 'in\n' });
    await machine.reboot();
    expect(await back()).toMatchObject({ stdout: 'in\n' });
  });

  it.each(['new', 'old'])(
    'is worked with on the %s host while and after its package manager replaces its SSH server',
    async (name) => {
      const { machine, host } = await server(name);
      const back = async () =>
        await poll('it is back', 60_000, async () => await host.read(sh`echo in`).catch(() => false as const));
      await back();
      const before = (await machine.exec('stat -c %i /usr/sbin/sshd; systemctl show -P MainPID ssh')).stdout.split(
        '\n',
      );
      const running = host.job(
        jobOf({ act: sh`touch /run/at-work; while [ -e /run/at-work ]; do sleep 0.1; done; echo done` }),
      );
      await poll('it is at work', 60_000, async () => (await machine.exec('[ -e /run/at-work ]')).exit === 0);
      // The package's own scripts restart it, as in an upgrade; who is logged in stays so.
      const apt = 'DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Options::=--force-confold';
      const replaced = await machine.exec(
        `apt-get -qq update && ${apt} --reinstall install openssh-server openssh-client`,
      );
      expect(replaced).toMatchObject({ exit: 0 });
      const after = (await machine.exec('stat -c %i /usr/sbin/sshd; systemctl show -P MainPID ssh')).stdout.split('\n');
      expect([after[0] === before[0], after[1] === before[1]]).toEqual([false, false]);
      const anew = reach(lab().hosts);
      expect(await (await anew.for(name)).read(sh`echo in`)).toMatchObject({ stdout: 'in\n' });
      await machine.exec('pkill -f "sshd(-session)?: root" || :; rm /run/at-work');
      expect(await running).toMatchObject({ exit: 0, stdout: 'done\n', already: false });
      expect(await back()).toMatchObject({ stdout: 'in\n' });
      await anew.close();
    },
  );

  it('penalises an address that connects without logging in, which passes', async () => {
    const { machine } = await server('new');
    const stranger = { ...loginOf(machine), privateKey: keyPair().privateKey };
    await poll('we are penalised', 60_000, async () => {
      const error: unknown = await logIn(stranger).catch((reason: unknown) => reason);
      return (error as { type?: string }).type === 'Penalised';
    });
    const penalised = reach(lab().hosts);
    const host = await penalised.for('new');
    await expect(host.read(sh`:`)).rejects.toMatchObject({
      type: 'Penalised',
      details: [{ retryAfterSeconds: expect.any(Number) as number }],
    });
    await poll(
      'the penalty has passed',
      120_000,
      async () => (await host.read(sh`:`).catch(() => ({ exit: 1 }))).exit === 0,
    );
    await penalised.close();
  });
});
