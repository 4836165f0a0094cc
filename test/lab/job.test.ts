import { describe, expect, it } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { expectOk } from '../../src/host/exit.js';
import type { Job } from '../../src/host/host.js';
import { placeOf } from '../../src/host/job-unit.js';
import { sh } from '../../src/host/shell.js';
import { abandon, controllerProcess, effects, jobOf } from './reach.js';
import { debianHosts } from './debian-hosts.js';

const { hosts, server } = debianHosts();

/** No unit of the job, and no process of it, is left. */
async function isGone(machine: LabHost, job: Parameters<typeof placeOf>[0]): Promise<boolean> {
  const { unit } = placeOf(job);
  const { stdout } = await machine.exec(
    `systemctl list-units --all --plain --no-legend '${unit}*'; find /sys/fs/cgroup -path '*/${unit}*'`,
  );
  return stdout === '';
}

describe.each(['new', 'old'])('a job on the %s host', (name) => {
  it('runs once, and gives its result again to whoever asks again', async () => {
    const { machine, host } = await server(name);
    const { file, count } = effects(machine, 'once');
    const job = jobOf({ act: sh`echo x >>${file}; echo out; echo err >&2; exit 7` });
    const first = await host.job(job);
    expect(first).toMatchObject({ exit: 7, stdout: 'out\n', stderr: 'err\n', already: false });
    expect(await host.job(job)).toMatchObject({ exit: 7, stdout: 'out\n', stderr: 'err\n', already: false });
    expect(await count()).toBe(1);
    await poll('the unit is gone', 60_000, async () => await isGone(machine, job));
  });

  it('does nothing where it is already so', async () => {
    const { machine, host } = await server(name);
    const { file, count } = effects(machine, 'already');
    const job = jobOf({ check: sh`echo known`, act: sh`echo x >>${file}` });
    expect(await host.job(job)).toMatchObject({ exit: 0, stdout: 'known\n', already: true });
    expect(await host.job({ ...job, attempt: 'run-1/2' })).toMatchObject({ already: true });
    expect(await count()).toBe(0);
  });

  it('acts where its check says no, in the same environment', async () => {
    const { machine, host } = await server(name);
    const { file, check, count } = effects(machine, 'environment');
    const job = jobOf({ check, act: sh`echo x >>${file}; pwd; umask; id -u; echo $LC_ALL $HOME; cat` });
    expect(await host.job(job)).toMatchObject({ exit: 0, stdout: '/\n0022\n0\nC /root\n', already: false });
    expect(await host.job({ ...job, attempt: 'run-1/2' })).toMatchObject({ stdout: 'found\n', already: true });
    expect(await count()).toBe(1);
  });

  it('keeps the last 64 KiB of each stream, on the disk too', async () => {
    const { machine, host } = await server(name);
    const job = jobOf({ act: sh`seq 300000; seq 300000 >&2; echo end; echo end >&2` });
    const { stdout, stderr } = await host.job(job);
    for (const stream of [stdout, stderr]) {
      expect(stream.length).toBe(65_536);
      expect(stream).toMatch(/300000\nend\n$/);
    }
    const { stdout: sizes } = await machine.exec(
      `stat -c %s ${placeOf(job).record}/stdout ${placeOf(job).record}/stderr`,
    );
    expect(sizes).toBe('65536\n65536\n');
  });

  it('reads its secrets, and nobody else sees them', async () => {
    const { machine, host } = await server(name);
    const secret = `geheim-${process.pid}-é'$(id)\n\0end`;
    const { letGo, begun, act } = effects(machine, 'secret');
    const job = jobOf({
      act: sh`sha256sum <"$CREDENTIALS_DIRECTORY/password"; ${act}`,
      secrets: { password: Buffer.from(secret) },
    });
    const running = host.job(job);
    await begun();
    const { unit, secrets } = placeOf(job);
    const places = `systemctl show ${unit} --all; cat /run/systemd/transient/*; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; journalctl`;
    const { stdout: seen } = await machine.exec(`(${places}) 2>/dev/null | tr '\\0' '\\n'`);
    expect(seen).toContain(unit);
    expect(seen).not.toContain('geheim-');
    expect((await machine.exec(`ls ${secrets}`)).exit).not.toBe(0);
    await letGo();
    const digest = await machine.exec(`printf %s '${Buffer.from(secret).toString('base64')}' | base64 -d | sha256sum`);
    expect((await running).stdout).toBe(`${digest.stdout}done\n`);
    expect((await machine.exec(`grep -rl geheim- /var/lib/chom /run/chom`)).stdout).toBe('');
  });

  it('runs in a box where it has properties, and reaches neither its record nor the claims', async () => {
    const { machine, host } = await server(name);
    const act = sh`id -un; cat "$CREDENTIALS_DIRECTORY/token"; ls /var/lib/chom 2>&1; touch /etc/x 2>&1; exit 5`;
    const properties = ['User=nobody', 'ProtectSystem=strict', 'PrivateTmp=yes', 'InaccessiblePaths=/var/lib/chom'];
    const job = jobOf({
      act,
      check: sh`[ "$(id -un)" != nobody ]`,
      properties,
      secrets: { token: Buffer.from('t0ken\n') },
    });
    const output = await host.job(job);
    expect(output).toMatchObject({ exit: 5, already: false });
    expect(output.stdout).toMatch(/^nobody\nt0ken\nls: .*Permission denied\ntouch: .*\n$/);
    await poll('the secret is gone', 60_000, async () => (await machine.exec(`ls ${placeOf(job).secrets}`)).exit !== 0);
  });

  it('is ended by its limit when nobody watches, and says so to whoever comes', async () => {
    const { machine, host } = await server(name);
    const { act, begun, count } = effects(machine, 'limit');
    const job = jobOf({ act: sh`echo working; ${act}`, limitSeconds: 10 });
    await abandon(host, job, begun);
    await poll('the unit is gone', 60_000, async () => await isGone(machine, job));
    await expect(host.job(job)).rejects.toMatchObject({ type: 'TimedOut' });
    expect(await count()).toBe(1);
  });

  it('is stopped with all its processes when its signal says so, and does not begin again', async () => {
    const { machine, host } = await server(name);
    const { act, begun, lives, count } = effects(machine, 'cancel');
    const job = jobOf({ act });
    const cancel = new AbortController();
    const running = host.job(job, { signal: cancel.signal, detach: cancel.signal });
    await begun();
    cancel.abort(new Error('cancelled by the operator'));
    await expect(running).rejects.toThrow('cancelled by the operator');
    expect(await lives()).toBe(false);
    await poll('the unit is gone', 60_000, async () => await isGone(machine, job));
    await expect(host.job(job)).rejects.toMatchObject({ type: 'Interrupted' });
    expect(await count()).toBe(1);
  });

  it('is stopped with its whole operation, boxed ones too', async () => {
    const { machine, host } = await server(name);
    const plain = effects(machine, 'slice-plain');
    const boxed = effects(machine, 'slice-boxed');
    const job = jobOf({ act: plain.act });
    const second = { ...job, operation: `${job.operation}/child`, act: boxed.act, properties: ['PrivateTmp=yes'] };
    await abandon(host, job, plain.begun);
    await abandon(host, second, boxed.begun);
    await host.stop(job.claim.root);
    expect(await plain.lives()).toBe(false);
    expect(await boxed.lives()).toBe(false);
    for (const one of [job, second]) await poll('it is gone', 60_000, async () => await isGone(machine, one));
    await host.stop(job.claim.root);
    await host.stop('never-heard-of');
  });
});

it('runs on while all else of its operation is stopped, where its own attempt asks for that', async () => {
  const { machine, host } = await server();
  const own = effects(machine, 'kept');
  const boxed = effects(machine, 'kept-boxed');
  const others = effects(machine, 'kept-not');
  const job = jobOf({ act: own.act, attempt: 'run-1/3/1001' });
  const beside = { ...job, step: '3/boxed', act: boxed.act, properties: ['PrivateTmp=yes'] };
  const other = { ...beside, operation: `${job.operation}/child`, act: others.act, attempt: 'run-1/1' };
  await abandon(host, job, own.begun);
  await abandon(host, beside, boxed.begun);
  await abandon(host, other, others.begun);
  await host.stop(job.claim.root, { except: job.attempt });
  expect([await own.lives(), await boxed.lives(), await others.lives()]).toEqual([true, true, false]);
  await own.letGo();
  await boxed.letGo();
  for (const one of [job, beside]) expect(await host.job(one)).toMatchObject({ exit: 0, stdout: 'done\n' });
  expect([await own.count(), await boxed.count()]).toEqual([1, 1]);
  await host.stop('never-heard-of', { except: job.attempt });
});

it('starts one after the other of an operation, also while systemd lets its slice go', async () => {
  const { host } = await server();
  const { claim, operation } = jobOf();
  for (let n = 0; n < 60; n += 1) {
    expect(await host.job({ ...jobOf(), claim, operation, step: `${n}/part` })).toMatchObject({ exit: 0 });
  }
});

describe('two at once', () => {
  it('starts a job once, and gives both its result', async () => {
    const { machine } = await server();
    const { act, letGo, begun, count } = effects(machine, 'both');
    const job = jobOf({ act: sh`${act}; date +%N` });
    const both = [controllerProcess(machine, job), controllerProcess(machine, job)];
    await begun();
    await letGo();
    const [one, two] = await Promise.all(both.map(({ output }) => output));
    expect(one?.stdout).toMatch(/^done\n\d+\n$/);
    expect(two?.stdout).toBe(one?.stdout);
    expect(await count()).toBe(1);
  });

  it('survives the SIGKILL of its controller, and the next one follows it', async () => {
    const { machine } = await server();
    const { act, letGo, begun, count } = effects(machine, 'killed');
    const job = jobOf({ act });
    const first = controllerProcess(machine, job);
    const ended = first.output.catch((error: unknown) => error);
    await begun();
    first.pid.kill('SIGKILL');
    await ended;
    const second = controllerProcess(machine, job);
    await letGo();
    expect(await second.output).toMatchObject({ exit: 0, stdout: 'done\n', already: false });
    expect(await count()).toBe(1);
  });
});

describe('an attempt that was given up', () => {
  it('is stopped before the next one begins, which then finds its work done', async () => {
    const { machine, host } = await server();
    const { act, check, begun, lives, count } = effects(machine, 'next');
    const job = jobOf({ act, check });
    await abandon(host, job, begun);
    expect(await lives()).toBe(true);
    expect(await host.job({ ...job, attempt: 'run-1/2' })).toMatchObject({ stdout: 'found\n', already: true });
    expect(await lives()).toBe(false);
    expect(await count()).toBe(1);
  });

  it('cannot come back and stop the one that took over', async () => {
    const { machine, host } = await server();
    const { act, begun, letGo, count } = effects(machine, 'back');
    const job = jobOf({ act });
    const next = { ...job, attempt: 'run-1/2' };
    const first = host.job(job).catch((error: unknown) => error);
    await begun();
    const second = host.job(next);
    await poll('the second has begun', 30_000, async () => (await count()) === 2);
    expect(await first).toMatchObject({ type: 'Superseded' });
    await expect(host.job(job)).rejects.toMatchObject({ type: 'Superseded' });
    await letGo();
    expect(await second).toMatchObject({ exit: 0, stdout: 'done\n' });
    expect(await count()).toBe(2);
  });
});

describe('a cable that is cut in the middle', () => {
  it('lets the job run on, and its controller follow it again', async () => {
    const { machine, host } = await server();
    const { act, begun, letGo, count } = effects(machine, 'cut');
    const job = jobOf({ act, limitSeconds: 120 });
    const lost = (): number => hosts().said.filter((line) => line === 'connection lost').length;
    const before = lost();
    const running = host.job(job);
    await begun();
    await machine.cut();
    await poll('the loss is noticed', 60_000, async () => await Promise.resolve(lost() > before));
    await letGo();
    await machine.mend();
    expect(await running).toMatchObject({ exit: 0, stdout: 'done\n', already: false });
    expect(await count()).toBe(1);
  });
});

describe.each(['reboot', 'crash', 'powerCut'] as const)('a %s of the host', (disaster) => {
  it('in the middle: the check decides, and without one the outcome is unknown', async () => {
    const { machine, host } = await server();
    const checked = effects(machine, `${disaster}-checked`);
    const blind = effects(machine, `${disaster}-blind`);
    const one = jobOf({ act: checked.act, check: checked.check });
    const two = jobOf({ act: blind.act });
    await abandon(host, one, checked.begun);
    await abandon(host, two, blind.begun);
    await machine[disaster]();
    expect(await host.job(one)).toMatchObject({ stdout: 'found\n', already: true });
    await expect(host.job(two)).rejects.toMatchObject({ type: 'Interrupted' });
    await expect(host.job(two)).rejects.toMatchObject({ type: 'Interrupted' });
    expect([await checked.count(), await blind.count()]).toEqual([1, 1]);
    await blind.letGo();
    expect(await host.job({ ...two, attempt: 'run-1/2' })).toMatchObject({ exit: 0, stdout: 'done\n' });
    expect(await blind.count()).toBe(2);
  });

  it('just after the end: the result is still known', async () => {
    const { machine, host } = await server();
    const { act, letGo, count } = effects(machine, `${disaster}-after`);
    await letGo();
    const job = jobOf({ act });
    expect(await host.job(job)).toMatchObject({ exit: 0, stdout: 'done\n' });
    await machine[disaster]();
    expect(await host.job(job)).toMatchObject({ exit: 0, stdout: 'done\n', already: false });
    expect(await count()).toBe(1);
  });

  it('with the controller watching: it logs in again and has the answer', async () => {
    const { machine, host } = await server();
    const { act, check, begun, count } = effects(machine, `${disaster}-watched`);
    const running = host.job(jobOf({ act, check }));
    await begun();
    await machine[disaster]();
    expect(await running).toMatchObject({ stdout: 'found\n', already: true });
    expect(await count()).toBe(1);
  });
});

describe('a full disk', () => {
  it('is named, whether it was full before or the job filled it', async () => {
    const { machine, host } = await server();
    const most = sh`fallocate -l $(($(stat -f -c '%a*%S' /) - 8000000)) /root/filler`;
    const filling = jobOf({
      act: sh`${most}; cat /dev/zero >>/root/filler; code=$?; echo "code $code" >&2; exit $code`,
    });
    // The job's own words or its record's: whichever still had room.
    const done = async (job: Job) => expectOk(await host.job(job), host, 'Filling');
    await expect(done(filling)).rejects.toMatchObject({ type: 'DiskFull' });
    await expect(done(jobOf({ act: sh`head -c 1000000 /dev/zero >/root/more` }))).rejects.toMatchObject({
      type: 'DiskFull',
    });
    await machine.exec('rm -f /root/filler /root/more');
    expect(await host.job(jobOf())).toMatchObject({ exit: 0 });
  });
});
