import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startLab, type Lab, type LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import type { Claim, Host } from '../../src/host/host.js';
import { sh } from '../../src/host/shell.js';
import { abandon, effects, jobOf, reach } from './reach.js';

let lab: Lab;
let hosts: ReturnType<typeof reach>;
let machine: LabHost;
let host: Host;

beforeAll(async () => {
  lab = await startLab({ hosts: [{ name: 'web1' }] });
  hosts = reach(lab.hosts);
  machine = lab.host('web1');
  host = await hosts.for('web1');
});
afterAll(async () => {
  await hosts.close();
  await lab.down();
});

let steps = 0;
/** A step of its own that does nothing but need the claim. */
const step = (claim: Partial<Claim>) => host.job(jobOf({ step: `step-${steps++}`, ...claim }));

describe('the claim of a site', () => {
  it('refuses a lower epoch than it has seen, and its own run once it was raised', async () => {
    const scope = 'site/epoch';
    expect(await step({ scope, root: 'a', epoch: 2 })).toMatchObject({ exit: 0 });
    await expect(step({ scope, root: 'a', epoch: 1 })).rejects.toMatchObject({ type: 'StaleClaim' });
    expect(await step({ scope, root: 'a', epoch: 3 })).toMatchObject({ exit: 0 });
    await expect(step({ scope, root: 'a', epoch: 2 })).rejects.toMatchObject({ type: 'StaleClaim' });
  });

  it('refuses another controller, also on a site that is new to it, and says how to take over', async () => {
    const scope = 'site/controller';
    await step({ scope, root: 'a' });
    const refused = {
      type: 'StaleClaim',
      details: [
        {
          next: expect.stringContaining('chom server adopt web1 --confirm web1'),
          holder: 'controller-1',
        },
      ],
    };
    await expect(step({ scope, root: 'b', controller: 'controller-2' })).rejects.toMatchObject(refused);
    await step({ scope: 'server', root: 'a' });
    await expect(step({ scope: 'site/new', root: 'b', controller: 'controller-2' })).rejects.toMatchObject(refused);
    expect(await step({ scope, root: 'b' })).toMatchObject({ exit: 0 });
  });

  it('passes from one operation to the next, which has a higher epoch, and never back', async () => {
    const scope = 'site/passing';
    await step({ scope, root: 'a', epoch: 1 });
    // As an installation would ask that works on an old copy of the inventory.
    await expect(step({ scope, root: 'b', epoch: 1 })).rejects.toMatchObject({ type: 'StaleClaim' });
    await step({ scope, root: 'b', epoch: 2 });
    const refused = { type: 'StaleClaim', details: [{ holder: 'b', next: expect.stringContaining('chom op show b') }] };
    await expect(step({ scope, root: 'a', epoch: 1 })).rejects.toMatchObject(refused);
    expect(await step({ scope, root: 'a', epoch: 3 })).toMatchObject({ exit: 0 });
    await expect(step({ scope, root: 'b', epoch: 2 })).rejects.toMatchObject({ type: 'StaleClaim' });
    expect((await machine.exec('cat /var/lib/chom/claims/site-passing')).stdout).toBe('controller-1\n3 a\n');
  });

  it('is not taken over while a job of its holder runs: busy, naming the holder', async () => {
    const scope = 'site/busy';
    const { act, begun, letGo, lives } = effects(machine, 'busy');
    const running = host.job(jobOf({ scope, root: 'holder', act }));
    await begun();
    const refused = { type: 'Busy', details: [{ holder: 'holder' }] };
    await expect(step({ scope, root: 'other' })).rejects.toMatchObject(refused);
    expect(await lives()).toBe(true);
    await letGo();
    expect(await running).toMatchObject({ exit: 0 });
    expect(await step({ scope, root: 'other' })).toMatchObject({ exit: 0 });
  });

  it('waits for the holder’s last job, then passes on', async () => {
    const scope = 'site/waiting';
    const { file, act, begun, letGo } = effects(machine, 'waiting');
    const running = host.job(jobOf({ scope, root: 'last', act: sh`${act}; echo holder >>${file}.order` }));
    await begun();
    const next = host.job(jobOf({ scope, root: 'next', act: sh`echo next >>${file}.order` }));
    await poll(
      'the next one waits',
      60_000,
      async () => (await machine.exec('pgrep -xf "flock -x -w 30 7"')).exit === 0,
    );
    await letGo();
    await Promise.all([running, next]);
    expect((await machine.exec(`cat ${file}.order`)).stdout).toBe('holder\nnext\n');
  });

  it('is raised for an operation that died: its job ends, and what it still sends is refused', async () => {
    const scope = 'site/settling';
    const { act, begun, lives } = effects(machine, 'settling');
    const job = jobOf({ scope, root: 'dead', act });
    await abandon(host, job, begun);
    const raised = { ...job.claim, epoch: job.claim.epoch + 1 };
    await host.silence(raised);
    expect(await lives()).toBe(false);
    await expect(host.job({ ...job, step: 'late' })).rejects.toMatchObject({ type: 'StaleClaim' });
    await host.silence(raised);
    await expect(host.silence(job.claim)).rejects.toMatchObject({ type: 'StaleClaim' });
    expect(await step({ scope, root: 'dead', epoch: raised.epoch })).toMatchObject({ exit: 0 });
  });

  it('refuses an upload as it refuses a job', async () => {
    const { claim } = jobOf({ scope: 'site/upload', root: 'a', epoch: 1 });
    await step({ scope: claim.scope, root: 'b', epoch: 2 });
    const content = (async function* () {
      yield await Promise.resolve(Buffer.from('x'));
    })();
    const file = { path: '/var/lib/chom/staging/stale', sha256: '0'.repeat(64), claim, content };
    await expect(host.upload(file)).rejects.toMatchObject({ type: 'StaleClaim' });
    expect((await machine.exec('ls /var/lib/chom/staging/stale*')).exit).not.toBe(0);
  });

  it('refuses ids that could not be told apart in its file', async () => {
    for (const claim of [
      { root: 'a b' },
      { root: 'a\nb' },
      { controller: '' },
      { scope: 'site/../server' },
      { epoch: -1 },
    ]) {
      await expect(step(claim)).rejects.toMatchObject({ type: 'InvalidInput' });
    }
  });
});

describe('the claim of the server', () => {
  it('excludes every change to a site, and is excluded by it', async () => {
    const order = '/root/server-order';
    const site = effects(machine, 'server-site');
    const server = effects(machine, 'server-server');
    const said = (word: string) => sh`echo ${word} >>${order}`;
    const siteJob = host.job(jobOf({ scope: 'site/beside', root: 's1', act: sh`${site.act}; ${said('site')}` }));
    await site.begun();
    const serverJob = host.job(jobOf({ scope: 'server', root: 'a', act: sh`${server.act}; ${said('server')}` }));
    await poll(
      'the server’s job waits',
      60_000,
      async () => (await machine.exec('pgrep -xf "flock -x -w 30 7"')).exit === 0,
    );
    await site.letGo();
    await server.begun();
    const after = host.job(jobOf({ scope: 'site/beside2', root: 's2', act: said('after') }));
    await poll(
      'the site’s job waits',
      60_000,
      async () => (await machine.exec('pgrep -xf "flock -s -w 30 7"')).exit === 0,
    );
    await server.letGo();
    await Promise.all([siteJob, serverJob, after]);
    expect((await machine.exec(`cat ${order}`)).stdout).toBe('site\nserver\nafter\n');
  });

  it('lets changes to different sites run side by side', async () => {
    const one = effects(machine, 'side-one');
    const two = effects(machine, 'side-two');
    const both = [host.job(jobOf({ act: one.act })), host.job(jobOf({ act: two.act }))];
    await one.begun();
    await two.begun();
    await one.letGo();
    await two.letGo();
    expect(await Promise.all(both)).toMatchObject([{ exit: 0 }, { exit: 0 }]);
  });
});

// The last one: nothing of CHOM's is on the host afterwards.
it('lets nobody take CHOM off a server but who holds it, alone; done again it is done', async () => {
  const self = { user: 'root', keys: [] };
  const holder = { controller: 'controller-1', scope: 'server', root: 'leaver', epoch: 1000 };
  await step(holder);
  for (const stale of [{ epoch: 999 }, { root: 'other' }, { controller: 'controller-2' }]) {
    await expect(host.leave({ ...holder, ...stale }, self)).rejects.toMatchObject({ type: 'StaleClaim' });
  }
  const { act, begun, letGo, lives } = effects(machine, 'leaving');
  const running = host.job(jobOf({ scope: 'site/leaving', root: 'at-work', act }));
  await begun();
  await expect(host.leave(holder, self)).rejects.toMatchObject({ type: 'Busy' });
  expect(await lives()).toBe(true);
  await letGo();
  expect(await running).toMatchObject({ exit: 0 });
  expect(await host.leave(holder, self)).toEqual({ left: [] });
  expect((await machine.exec('ls -d /var/lib/chom /etc/chom')).exit).not.toBe(0);
  expect(await host.leave(holder, self)).toEqual({ left: [] });
});
