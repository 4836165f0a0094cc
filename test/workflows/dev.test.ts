import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { poll } from '../../lab/poll.js';
import { freePort } from '../../lab/ports.js';
import { cacheDirectory } from '../../src/client/programs/cache.js';
import { plainEnvironment } from '../lab/rig.js';
import { chomCommand, type Chom, type Running } from '../lab/rig-command.js';

let home: string;
let chom: Chom;
const running = new Set<Running>();
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'chom-dev-'));
  const user = {
    CHOM_HOME: home,
    XDG_CACHE_HOME: join(cacheDirectory(), '..'),
    TEMPORAL_CONFIG_FILE: join(home, 'none'),
  };
  chom = chomCommand({ ...plainEnvironment(), ...user }, (one) => running.add(one));
});
afterAll(async () => {
  await Promise.all([...running].map(async (one) => await one.stop()));
  await rm(home, { recursive: true, force: true });
});

test('chom dev that was killed leaves no Temporal server in the way of the next one', async () => {
  const ports = ['--port', '--ui-port', '--codec-port'];
  const words = ['dev'];
  for (const port of ports) words.push(port, `${await freePort()}`);
  const served = async () => {
    const dev = chom.start(...words);
    await poll('the worker serves', 50_000, async () => {
      if (dev.process.exitCode !== null) throw new Error(dev.said().stderr);
      return dev.said().stderr.includes('worker started');
    });
    return dev;
  };
  const killed = await served();
  await killed.stop('SIGKILL');
  const next = await served();
  expect((await next.stop('SIGINT')).exit).toBe(0);
});
