import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../../lab/ports.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import { openChom } from '../../src/client/open.js';
import { startLost } from '../../src/client/sweep.js';
import type { LogEntry } from '../../src/client/operation-log.js';
import { failure } from '../../src/workflows/failures.js';
import { startSilentProxy } from './silent-proxy.js';
import { startFollowing, until, type Following } from './following.js';

let following: Following;
let key = '';
beforeAll(async () => {
  following = await startFollowing();
  key = join(following.chom.config.home, 'id_ed25519');
  await promisify(execFile)('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
});
afterAll(async () => await following?.close());

const create = (domain: string, ...words: string[]) => ['site', 'create', domain, '--server', 'web1', ...words];
const idIn = (text: string) => /(?:provision-site|issue-certificate|enrol-server)-[a-z2-7]{12}/.exec(text)?.[0];

/** The newest operation, once its row says that it runs. */
async function runningOperation(before: readonly string[]): Promise<string> {
  return await until('an operation that runs', async () => {
    const rows = await operations.list(following.chom.inventory.db, { state: 'running' });
    return rows.find(({ id, parent }) => parent === null && !before.includes(id))?.id;
  });
}

describe('with a worker', () => {
  beforeEach(async () => {
    await following.stopWorker();
    await following.startWorker();
  });

  test('what was asked for is followed to its end: lines of talk, one document of data', async () => {
    const source = join(following.chom.config.home, 'app');
    await mkdir(source);
    await writeFile(join(source, 'index.html'), 'hello');
    const ran = following.start(...create('münchen.example', '--from', source, '--json'));
    expect(await ran.ended).toBe(0);
    const document = JSON.parse(ran.stdout) as { operation: string; site: { id: string } };
    expect(document).toMatchObject({
      operation: idIn(ran.stdout),
      status: 'succeeded',
      warnings: [],
      site: { domain: 'xn--mnchen-3ya.example', status: 'active', type: 'static', server: 'web1', tls: true },
      certificate: null,
    });
    expect(ran.stderr.split('\n')).toEqual(
      expect.arrayContaining([
        'münchen.example is xn--mnchen-3ya.example in DNS',
        expect.stringMatching(/^✔ Create the user \(\d+\.\d s\)$/),
        expect.stringMatching(/^✔ issue-certificate/),
        expect.stringMatching(/^ {2}✔ Order the certificate/),
        expect.stringMatching(/^provision-site succeeded \(/),
      ]),
    );
    const { inventory, keyring } = following.chom;
    const operation = await operations.byId(inventory.db, document.operation);
    const { source: kept } = operations.openInput(operation, keyring) as { source: { sha256: string; bytes: number } };
    expect(kept.bytes).toBeGreaterThan(0);
    // What was kept for the operation goes with its end.
    expect(await inventory.db.selectFrom('uploads').select('operation').execute()).toEqual([]);

    const shown = await following.run('site', 'show', 'münchen.example', '--json');
    expect(JSON.parse(shown.stdout)).toMatchObject({ site: { id: document.site.id } });
    const listed = await following.run('op', 'list', '--site', 'münchen.example', '--kind', 'provision-site');
    expect(listed.stdout).toMatch(new RegExp(`^${document.operation} +succeeded +xn--mnchen-3ya.example on web1`, 'm'));
  });

  test('a failure says what, where, why and what next, with the operation, on both streams', async () => {
    following.fails.set(
      'fails.example',
      failure('ConfigurationRejected', 'nginx refuses the site', {
        server: 'web1',
        step: 'Create the user',
        cause: 'it has a typo',
      }),
    );
    const ran = await following.run(...create('fails.example', '--json'));
    const operation = idIn(ran.stdout) ?? '';
    expect(ran.status).toBe(1);
    const error = {
      type: 'ConfigurationRejected',
      message: 'nginx refuses the site',
      server: 'web1',
      cause: 'it has a typo',
    };
    const next = `chom op show ${operation}`;
    expect(JSON.parse(ran.stdout)).toMatchObject({
      operation,
      status: 'failed',
      error: { ...error, step: 'Create the user', next },
    });
    for (const line of [
      'chom: nginx refuses the site',
      '  server     web1',
      '  cause      it has a typo',
      `  operation  ${operation}`,
    ]) {
      expect(ran.stderr.split('\n')).toContain(line);
    }
    expect(ran.stderr).toMatch(/^↩ Create the user — undone/m);
    const shown = await following.run('op', 'show', operation);
    expect(shown.stdout).toMatch(/^↩ Create the user — undone[^]*^chom: nginx refuses the site/m);
    expect((await following.run('op', 'watch', operation)).status).toBe(1);
  });

  test('its log tells each attempt with what the server said, what was taken back, and the events', async () => {
    const output = 'nginx: [emerg] unknown directive\nnginx: configuration file test failed';
    following.fails.set('logged.example', failure('CommandFailed', 'Creating the user failed', { output }));
    const release = following.hold('end of logged.example');
    const running = following.start(...create('logged.example', '--json'));
    await until('the undo', () => running.stderr.includes('↩ Create the user — undoing'));
    const id = await runningOperation([]);
    const logs = async () =>
      JSON.parse((await following.run('op', 'logs', id, '--json')).stdout) as { log: LogEntry[] };
    const live = await until('its log', async () => {
      const said = await logs();
      return said.log.some(({ what }) => what === 'failure') ? said : undefined;
    });
    expect(live).toMatchObject({ operation: id, status: 'running', error: null });
    const failed = (attempt: number) => {
      return { what: 'failure', operation: id, name: 'Create the user', attempt, type: 'CommandFailed', output };
    };
    expect(live.log.filter(({ what }) => what === 'failure')).toMatchObject([failed(1), failed(2)]);
    expect(live.log.find(({ name }) => name === 'Create the user')).toMatchObject({ what: 'step', state: 'undoing' });
    release();
    await running.ended;

    const { log } = await logs();
    expect(log.map(({ what, name }) => `${what} ${name}`)).toEqual([
      'asked provision-site',
      'begun provision-site',
      'step Check the request',
      'step Create the user',
      'failure Create the user',
      'failure Create the user',
      'undo Create the user',
      'event SiteProvisioningFailed',
      'event Alert',
      'ended failed',
    ]);
    expect(log.filter(({ what }) => what === 'failure')).toMatchObject([failed(1), failed(2)]);
    expect(log.at(-1)).toMatchObject({ type: 'CommandFailed', message: 'Creating the user failed' });
    const text = (await following.run('op', 'logs', id)).stdout;
    expect(text).toMatch(
      /^\S+Z {2}Create the user: attempt 2 failed, CommandFailed: Creating the user failed\n {4}nginx: \[emerg\] unknown directive\n {4}nginx: conf/m,
    );
    expect(text).toMatch(/^\S+Z {2}taken back: Create the user$/m);
  });

  test('a certificate that fails is a warning of its site', async () => {
    following.fails.set('certificate of warned.example', failure('DomainNotPointed', 'It points elsewhere'));
    const ran = await following.run(...create('warned.example', '--json'));
    expect(ran.status).toBe(0);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      status: 'succeeded',
      warnings: [expect.stringContaining('It points elsewhere')],
    });
    expect(ran.stderr).toContain('succeeded with warnings');
    const id = idIn(ran.stdout) ?? '';
    const logged = (await following.run('op', 'logs', id)).stdout;
    expect(logged).toMatch(/^\S+Z {2}certificate: Order the certificate: attempt 1 failed, DomainNotPointed/m);
    expect(logged).toMatch(/^⚠ .*It points elsewhere/m);
  });

  test('who comes second waits in line, and is told who works there; who may not wait is refused', async () => {
    await following.run(...create('busy.example', '--no-tls'));
    const release = following.hold('certificate of busy.example');
    const first = await following.run('certificate', 'issue', 'busy.example', '--detach');
    const operation = first.stdout.trim();
    expect(first).toMatchObject({ status: 0, stdout: `${idIn(first.stdout)}\n` });
    const waiting = following.start('certificate', 'issue', 'busy.example');
    const told = `… Wait for a place — waiting: next in line; issue-certificate (${operation}) is at work since`;
    await until('its place in line', () => waiting.stderr.includes(told));
    // The workflow shows the step before it has written that it waits.
    const { db } = following.chom.inventory;
    const { id: waiter } = await until('it waits', async () => (await operations.list(db, { state: 'waiting' }))[0]);
    const listed = await following.run('op', 'list', '--running');
    const since = (await places.find(db, waiter))?.since;
    const row = `^${waiter} +waiting, 1 of 1 +busy\\.example on web1 .* ${operation} since ${since}$`;
    expect(listed.stdout).toMatch(new RegExp(row, 'm'));
    expect(listed.stdout).toMatch(/^OPERATION .* WAITS FOR$/m);
    const inTheWay = [{ operation, kind: 'issue-certificate', since: expect.any(String) }];
    expect(JSON.parse((await following.run('op', 'list', '--running', '--json')).stdout)).toMatchObject({
      operations: [
        { operation: waiter, status: 'waiting', line: { position: 1, waiting: 1, since, inTheWay } },
        { operation, status: 'running', line: null },
      ],
    });
    expect(JSON.parse((await following.run('server', 'show', 'web1', '--json')).stdout)).toMatchObject({
      server: { name: 'web1', atWork: [operation], inLine: [waiter] },
    });
    expect((await following.run('op', 'show', waiter)).stdout).toContain(
      `next in line; issue-certificate (${operation})`,
    );
    const second = await following.run('certificate', 'issue', 'busy.example', '--no-wait', '--json');
    expect(second.status).toBe(11);
    expect(JSON.parse(second.stdout)).toMatchObject({
      operation: null,
      error: { type: 'Busy', next: `chom op watch ${operation}` },
    });
    release();
    expect(await following.run('op', 'watch', operation)).toMatchObject({ status: 0 });
    expect(await waiting.ended).toBe(0);
    expect(waiting.stderr).toContain('✔ Wait for a place');
  });

  test('Ctrl-C leaves it alone, also when it is pressed twice, and it can be watched on', async () => {
    const release = following.hold('left.example');
    const running = following.start(...create('left.example', '--no-tls'));
    await until('the step', () => running.stderr.includes('▶ Create the user'));
    running.process.kill('SIGINT');
    running.process.kill('SIGINT');
    expect(await running.ended).toBe(130);
    const operation = idIn(running.stderr) ?? '';
    expect(running.stderr).toContain(`chom op watch ${operation}`);
    // A worker that stalls answers the next time.
    await until('its steps', async () =>
      (await following.run('op', 'show', operation)).stdout.includes('▶ Create the user'),
    );
    expect(await following.run('op', 'watch', operation, '--timeout', '0.5', '--json')).toMatchObject({
      status: 124,
      stdout: `{"operation":"${operation}","status":"running"}\n`,
    });
    const watching = following.start('op', 'watch', operation);
    await until('the step', () => watching.stderr.includes('▶ Create the user'));
    release();
    expect(await watching.ended).toBe(0);
  });

  test('a command that is left alone for a minute says since when nothing has changed, and what is waited for', async () => {
    const release = following.hold('still.example');
    const asked = following.start(...create('still.example', '--no-tls', '--detach'));
    expect(await asked.ended).toBe(0);
    // Its own clock runs a hundred times as fast.
    const hurried = 'const now = Date.now, began = now(); Date.now = () => began + (now() - began) * 100;';
    const options = `--import=data:text/javascript,${encodeURIComponent(hurried)}`;
    const watching = following.startWith({ NODE_OPTIONS: options }, 'op', 'watch', asked.stdout.trim());
    await until('it says so', () =>
      /^Nothing has changed since [\d:]+ \(\d+ min \d\d s\): waiting for “Create the user”$/m.test(watching.stderr),
    );
    release();
    expect(await watching.ended).toBe(0);
  });

  test('a cancelled one takes back what it did', async () => {
    const release = following.hold('cancelled.example');
    const running = following.start(...create('cancelled.example', '--json'));
    await until('the step', () => running.stderr.includes('▶ Create the user'));
    const operation = await runningOperation([]);
    expect(await following.run('op', 'cancel', operation, '--json')).toMatchObject({
      status: 0,
      stdout: `{"operation":"${operation}","status":"running"}\n`,
    });
    release();
    expect(await running.ended).toBe(1);
    expect(JSON.parse(running.stdout)).toMatchObject({ operation, status: 'cancelled' });
    expect((await following.run('op', 'cancel', operation)).status).toBe(1);
  });

  test('it is watched through the death of its worker', async () => {
    const release = following.hold('orphaned.example');
    const running = following.start(...create('orphaned.example', '--no-tls'));
    await until('the step', () => running.stderr.includes('▶ Create the user'));
    await following.stopWorker();
    release();
    await following.startWorker();
    expect(await running.ended).toBe(0);
  });

  test('one whose workflow was terminated is settled, and watched until it is', async () => {
    const release = following.hold('terminated.example');
    const running = following.start(...create('terminated.example', '--no-tls', '--json'));
    await until('the step', () => running.stderr.includes('▶ Create the user'));
    const operation = await runningOperation([]);
    const refused = await following.run('op', 'settle', operation, '--json');
    expect(refused.status).toBe(1);
    expect(JSON.parse(refused.stdout)).toMatchObject({
      error: { message: expect.stringMatching('its workflow runs') },
    });
    await (await following.chom.temporal()).workflow.getHandle(operation).terminate();
    const settled = await following.run('op', 'settle', operation);
    expect(settled.status).toBe(1);
    expect(settled.stderr).toContain('Its workflow was terminated; what it had done was taken back');
    expect(await running.ended).toBe(1);
    release();
    expect(JSON.parse(running.stdout)).toMatchObject({ operation, status: 'failed', error: { type: 'Interrupted' } });
    expect((await following.run('op', 'settle', operation)).stderr).toContain('has ended already: failed');
  });
});

describe('a server', () => {
  const add = (name: string, ...words: string[]) => [
    'server',
    'add',
    name,
    '--host',
    '192.0.2.20',
    '--key',
    key,
    ...words,
  ];
  beforeEach(async () => {
    await following.stopWorker();
    await following.startWorker();
  });

  test('is enrolled once somebody at a terminal has said that its host key is right', async () => {
    const running = following.startOnTerminal(...add('asked'));
    await until('the question', () => running.stdout.includes('Is this the host key of asked? [yes/no]'));
    expect(running.stdout).toContain(`SHA256:${'A'.repeat(43)}`);
    running.process.stdin?.write('yes\r');
    expect(await running.ended).toBe(0);
    expect(running.stdout).toContain('\u001b[32m✔\u001b[0m Record what is there');
    const shown = JSON.parse((await following.run('server', 'show', 'asked', '--json')).stdout) as object;
    expect(shown).toMatchObject({
      server: { name: 'asked', status: 'active', address: '192.0.2.20', port: 22, user: 'root' },
    });
  });

  test('is not enrolled when its host key was refused', async () => {
    const running = following.startOnTerminal(...add('refused'));
    await until('the question', () => running.stdout.includes('[yes/no]'));
    running.process.stdin?.write('no\r');
    expect(await running.ended).toBe(1);
    expect((await following.run('server', 'list')).stdout).toMatch(/^refused +failed/m);
  });

  test('can be left with Ctrl-C while it asks, and answered later', async () => {
    const running = following.startOnTerminal(...add('later'));
    await until('the question', () => running.stdout.includes('[yes/no]'));
    running.process.stdin?.write('\u0003');
    expect(await running.ended).toBe(130);
    const operation = idIn(running.stdout) ?? '';
    const again = following.startOnTerminal('op', 'watch', operation);
    await until('the question', () => again.stdout.includes('[yes/no]'));
    again.process.stdin?.write('yes\r');
    expect(await again.ended).toBe(0);
  });

  test('is enrolled without a terminal where its host key is given, and again', async () => {
    const given = add('given', '--host-key', `SHA256:${'A'.repeat(43)}`, '--json');
    for (const _time of ['once', 'again']) {
      const ran = await following.run(...given);
      expect(ran.status).toBe(0);
      expect(JSON.parse(ran.stdout)).toMatchObject({
        status: 'succeeded',
        server: { name: 'given', status: 'active' },
      });
    }
    const moved = await following.run(...given, '--host', '192.0.2.21');
    expect(moved).toMatchObject({ status: 1, stderr: expect.stringContaining('is enrolled already') });
  });
});

describe('without a worker', () => {
  test('it says so, and the operation starts when one comes', async () => {
    await following.stopWorker();
    const ran = await following.run(...create('waits.example', '--no-tls', '--json'));
    expect(ran.status).toBe(12);
    const document = JSON.parse(ran.stdout) as { operation: string };
    expect(document).toMatchObject({ operation: idIn(ran.stdout), status: 'running', error: { type: 'NoWorker' } });
    const watching = following.start('op', 'watch', document.operation);
    await until(
      'its state',
      async () => (await operations.byId(following.chom.inventory.db, document.operation)).state === 'asked',
    );
    await following.startWorker();
    expect(await watching.ended).toBe(0);
  });

  test('one whose client is killed between its row and its start is started by the sweep, once', async () => {
    await following.stopWorker();
    const { inventory, config } = following.chom;
    const { home } = config;
    const proxy = await startSilentProxy((await following.chom.temporal()).address);
    const settings = { ...following.environment, TEMPORAL_ADDRESS: proxy.address };
    const sweeper = await openChom(settings);
    try {
      // It packs its files when it has reached Temporal and nothing is written yet: there it is held.
      const [programs, source] = [join(home, 'programs'), join(home, 'killed')];
      for (const directory of [programs, source]) await mkdir(directory);
      await writeFile(join(source, 'index.html'), 'hello');
      await promisify(execFile)('mkfifo', [join(home, 'gate')]);
      const held = `#!/bin/sh\nPATH=\${PATH#*:}\ntouch '${home}/packing'\nread _ < '${home}/gate'\nexec tar "$@"\n`;
      await writeFile(join(programs, 'tar'), held, { mode: 0o755 });
      const path = { PATH: `${programs}:${process.env['PATH'] ?? ''}` };
      const killed = following.startWith({ ...settings, ...path }, ...create('killed.example', '--from', source));
      await until('it packs', async () => existsSync(join(home, 'packing')));
      proxy.silence();
      await writeFile(join(home, 'gate'), 'go\n');
      const { id } = await until('its row', async () => {
        const rows = await operations.list(inventory.db, { kind: 'provision-site', state: 'asked' });
        return rows.find(({ cluster }) => cluster === proxy.address);
      });
      killed.process.kill('SIGKILL');
      await killed.ended;
      const chom = { ...sweeper, temporal: await sweeper.temporal() };
      const workflow = chom.temporal.workflow.getHandle(id);
      await expect(workflow.describe()).rejects.toMatchObject({ name: 'WorkflowNotFoundError' });
      expect(await places.find(inventory.db, id)).toMatchObject({ state: 'running' });
      const later = Date.now() + 120_000;
      expect(await startLost(chom, later)).toEqual([id]);
      expect(await startLost(chom, later)).toEqual([]);
      await following.startWorker();
      await workflow.result();
      expect(await operations.byId(inventory.db, id)).toMatchObject({ outcome: 'succeeded', warnings: [] });
      expect(await places.find(inventory.db, id)).toBeNull();
      expect(await startLost(chom, later)).toEqual([]);
    } finally {
      await sweeper.close();
      await proxy.close();
    }
  });

  test('one that has not begun is cancelled at once and gives its place back', async () => {
    await following.stopWorker();
    const asked = await following.run(...create('never.example', '--detach'));
    const operation = asked.stdout.trim();
    expect(await following.run('op', 'cancel', operation)).toMatchObject({
      status: 0,
      stderr: 'Cancelled before it began.\n',
    });
    const { inventory } = following.chom;
    expect(await operations.byId(inventory.db, operation)).toMatchObject({ state: 'ended', outcome: 'cancelled' });
    expect(await places.find(inventory.db, operation)).toBeNull();
  });
});

test('the codec server opens payloads for the pages of the UI that it is told of, until it is told to end', async () => {
  const port = await freePort();
  const ui = 'http://localhost:8080';
  const running = following.start('codec-server', '--ui', ui, '--port', `${port}`);
  await until('it listens', () => running.stderr.includes(`http://127.0.0.1:${port}`));
  const ask = async (origin: string) => {
    const request = { method: 'POST', body: '{"payloads":[]}', headers: { origin } };
    return (await fetch(`http://127.0.0.1:${port}/decode`, request)).status;
  };
  expect(await ask(ui)).toBe(200);
  expect(await ask('http://localhost:8233')).toBe(403);
  running.process.kill('SIGTERM');
  expect(await running.ended).toBe(0);
});
