import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { Resolver } from 'node:dns/promises';
import { promisify } from 'node:util';
import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Lab, type LabHost, startLab } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { type LabState, readState } from '../../lab/state.js';
import { sweep } from '../../lab/sweep.js';
import { traces } from './traces.js';

const run = promisify(execFile);
const root = new URL('../..', import.meta.url).pathname;

const stateOf = async (name: string): Promise<LabState> => {
  const state = await readState(name);
  if (!state) throw new Error(`no lab ${name}`);
  return state;
};

const ssh = async (host: LabHost, command: string): Promise<string> =>
  (await run('ssh', [...host.sshArguments, command])).stdout.trim();

const bootId = (host: LabHost): Promise<string> => ssh(host, 'cat /proc/sys/kernel/random/boot_id');

describe('a lab', () => {
  let lab: Lab;
  let web1: LabHost;
  let old: LabHost;

  beforeAll(async () => {
    lab = await startLab({
      hosts: [
        { name: 'web1', diskMegabytes: 1024 },
        { name: 'old', debian: 12, bare: true },
      ],
      acme: true,
    });
    [web1, old] = [lab.host('web1'), lab.host('old')];
  }, 900_000);

  afterAll(() => lab?.down());

  test('has hosts of both releases that let in with its key, by their own host key', async () => {
    expect(await ssh(web1, '. /etc/os-release; echo $VERSION_ID; hostname')).toBe('13\nweb1');
    expect(await ssh(old, '. /etc/os-release; echo $VERSION_ID; hostname')).toBe('12\nold');
    expect(web1.hostKey).toMatch(/^SHA256:[\w+/]{43}$/);
    expect(web1.hostKey).not.toBe(old.hostKey);
  });

  test('runs scripts on a host without SSH', async () => {
    expect(await web1.exec('echo out; echo err >&2; exit 3')).toEqual({ exit: 3, stdout: 'out\n', stderr: 'err\n' });
  });

  test('lets bare hosts install packages, and no host reach anything outside', async () => {
    expect((await old.exec('command -v nginx || command -v mariadbd')).exit).not.toBe(0);
    const install = 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install logrotate';
    expect(await old.exec(`${install} >/dev/null && command -v logrotate`)).toMatchObject({ exit: 0 });
    expect(await web1.exec('ip route get 192.0.2.1')).toMatchObject({ exit: 2 });
  });

  test('reboots a host in order', async () => {
    const before = await bootId(web1);
    await web1.reboot();
    expect(await bootId(web1)).not.toBe(before);
  });

  test('keeps what was written over a crash, and only what was synced over a power cut', async () => {
    await web1.exec('echo kept >/root/crash');
    await web1.crash();
    expect(await ssh(web1, 'cat /root/crash')).toBe('kept');
    // It writes until the cut: a sync for any other lab of this machine writes out what was written before it.
    const synced = `cd /root; echo kept >synced; sync synced /root; printf 'begun\\n'`;
    const writing = web1.exec(`${synced}; i=0; while echo $((i += 1)) >>unsynced && echo $i; do :; done`);
    await poll('it writes', 60_000, async () => (await web1.exec('test -s /root/unsynced')).exit === 0);
    await web1.powerCut();
    const written = (await writing).stdout.trimEnd().split('\n');
    expect(written[0]).toBe('begun');
    expect(await ssh(web1, 'cat /root/synced')).toBe('kept');
    const found = Number(await ssh(web1, 'wc -l </root/unsynced || echo 0'));
    expect(found).toBeLessThan(Number(written.at(-1)));
  });

  test('cuts and mends the cable', async () => {
    await web1.cut();
    await expect(run('ssh', [...web1.sshArguments, '-o', 'ConnectTimeout=1', 'true'])).rejects.toThrow();
    expect(await ssh(old, 'echo there')).toBe('there');
    await web1.mend();
    await web1.waitForSsh();
  });

  test('fills and frees the disk', async () => {
    // Services that start free space.
    await web1.waitUntilBooted();
    await web1.fill();
    expect((await web1.exec('dd if=/dev/zero of=/root/more bs=4k count=1')).stderr).toContain(
      'No space left on device',
    );
    await web1.unfill();
    expect((await web1.exec('dd if=/dev/zero of=/root/more bs=4k count=1 && rm /root/more')).exit).toBe(0);
  });

  test('knows its own names and no others, here and on the hosts', async () => {
    const name = `${lab.name}.lab.test`;
    await lab.acme.setAddress(name, { a: [web1.address], aaaa: ['2001:2::1'] });
    const resolver = new Resolver();
    resolver.setServers([lab.acme.dnsServer]);
    expect(await resolver.resolve4(name)).toEqual([web1.address]);
    expect(await resolver.resolve6(name)).toEqual(['2001:2::1']);
    await expect(resolver.resolve4('elsewhere.lab.test')).rejects.toThrow(/ENODATA|ENOTFOUND/);
    expect((await old.exec(`getent ahostsv4 ${name}`)).stdout).toContain(web1.address);
  });

  test('has an authority that can be stopped and started', async () => {
    const before = new X509Certificate(await lab.acme.rootCertificate());
    await lab.acme.stop();
    await expect(lab.acme.rootCertificate()).rejects.toThrow('ECONNREFUSED');
    await lab.acme.start();
    expect(new X509Certificate(await lab.acme.rootCertificate()).fingerprint256).not.toBe(before.fingerprint256);
  });

  test('has room for a second one beside it', async () => {
    const second = await startLab({ hosts: [{ name: 'web1' }] });
    const state = await stateOf(second.name);
    expect(second.host('web1').address).not.toBe(web1.address);
    expect(await bootId(second.host('web1'))).not.toBe(await bootId(web1));
    await second.down();
    // The kernel takes a moment to forget a dead process's mounts.
    await expect.poll(() => traces(state)).toEqual([]);
    expect(await ssh(web1, 'echo there')).toBe('there');
  });

  test('leaves nothing behind, and is removed only once', async () => {
    const state = await stateOf(lab.name);
    expect(traces(state)).not.toEqual([]);
    await lab.down();
    await expect.poll(() => traces(state)).toEqual([]);
    await lab.down();
  });
});

describe('a lab whose end nobody ordered', () => {
  /** A process that starts a lab and then waits, or throws where it is told to. */
  async function startElsewhere(name: string): Promise<{ pid: number; state: LabState; input: Writable }> {
    const script = `import { startLab } from './lab/index.ts';
      startLab({ name: '${name}', hosts: [{ name: 'web1' }] }).then(() => console.log('up')); setInterval(() => {}, 1000);
      process.stdin.once('data', () => { throw new Error('as a failing test does'); });`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
      cwd: root,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    await once(child.stdout, 'data');
    return { pid: child.pid ?? 0, state: await stateOf(name), input: child.stdin };
  }

  test.each([
    ['is killed', 'k', ({ pid }: { pid: number }) => process.kill(pid, 'SIGKILL')],
    ['is left with Ctrl-C', 'i', ({ pid }: { pid: number }) => process.kill(pid, 'SIGINT')],
    ['throws', 't', ({ input }: { input: Writable }) => input.write('now')],
  ])('goes when the process that started it %s', async (_, letter, end) => {
    const elsewhere = await startElsewhere(`${letter}${process.pid}`);
    const { state } = elsewhere;
    expect(traces(state).join('\n')).toContain('overlay');
    end(elsewhere);
    await poll('nothing of it is left', 120_000, async () => traces(state).length === 0);
  });

  test('is swept by the next one when its supervisor is killed', async () => {
    const { pid, state } = await startElsewhere(`s${process.pid}`);
    process.kill(state.supervisor.pid, 'SIGKILL');
    process.kill(pid, 'SIGKILL');
    await poll(
      'the supervisor is gone',
      60_000,
      async () =>
        !(await run('ps', ['-o', 'stat=', String(state.supervisor.pid)]).catch(() => ({ stdout: 'Z' }))).stdout.match(
          /^[^Z]/,
        ),
    );
    expect(traces(state)).not.toEqual([]);
    await sweep();
    await expect.poll(() => traces(state)).toEqual([]);
  });
});

describe('the command line', () => {
  const name = `c${process.pid}`;
  const command = (...words: string[]) =>
    run(process.execPath, ['--import', 'tsx', 'lab/cli.ts', ...words, '--name', name], { cwd: root });

  afterAll(() => command('down'));

  test('leaves nothing where it is left with Ctrl-C before the lab is up', async () => {
    const words = ['--import', 'tsx', 'lab/cli.ts', 'up', '--hosts', 'one', '--name', `u${process.pid}`];
    const up = spawn(process.execPath, words, { cwd: root, stdio: 'ignore' });
    const state = await poll('it is begun', 60_000, async () => (await readState(`u${process.pid}`)) ?? undefined);
    up.kill('SIGINT');
    await expect.poll(() => traces(state), { timeout: 120_000 }).toEqual([]);
  });

  test('makes a lab that stays, and removes it', async () => {
    const { stdout } = await command('up', '--hosts', 'one,two', '--disk', '512');
    expect(stdout).toMatch(/ two {2}198\.1[89]\.\d+\.11 {2}SHA256:/);
    expect((await run(process.execPath, ['--import', 'tsx', 'lab/cli.ts', 'status'], { cwd: root })).stdout).toContain(
      name,
    );
    expect((await command('ssh', 'two', 'hostname')).stdout).toBe('two\n');
    await command('power-cut', 'two');
    const state = await stateOf(name);
    await command('down');
    await expect.poll(() => traces(state)).toEqual([]);
    await expect(command('reboot', 'two')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/No lab .* is up\nnext: npm run lab -- up/) as string,
    });
  });
});

describe('a machine that cannot have a lab', () => {
  test('says what is missing and what still works', async () => {
    const program = [process.execPath, '--import', 'tsx', 'lab/cli.ts', 'up'];
    const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups', ...program];
    const failed = await run('setpriv', asNobody, {
      cwd: root,
      env: { PATH: process.env['PATH'], HOME: '/nonexistent' },
    }).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 1, stdout: '' });
    const { stderr } = failed as { stderr: string };
    expect(stderr).toContain('The lab cannot run here: this user is not root');
    expect(stderr).toContain('all tests outside test/lab run without it');
  });
});
