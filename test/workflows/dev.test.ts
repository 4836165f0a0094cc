import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { poll } from '../../lab/poll.js';
import { freePort } from '../../lab/ports.js';
import { cacheDirectory } from '../../src/client/programs/cache.js';
import { startPostgres } from '../inventory/postgres.js';
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

/** Starts `chom dev` on ports of its own and waits until its worker serves. */
async function serving(dev: Running): Promise<Running> {
  await poll('the worker serves', 120_000, async () => {
    if (dev.process.exitCode !== null) throw new Error(dev.said().stderr);
    return dev.said().stderr.includes('worker started');
  });
  return dev;
}

async function freePorts(): Promise<[temporal: number, words: string[]]> {
  const [port, ui, codec] = [await freePort(), await freePort(), await freePort()];
  return [port, ['--port', `${port}`, '--ui-port', `${ui}`, '--codec-port', `${codec}`]];
}

test('chom dev that was killed leaves no Temporal server in the way of the next one', async () => {
  const [, words] = await freePorts();
  const killed = await serving(chom.start('dev', ...words));
  await killed.stop('SIGKILL');
  const next = await serving(chom.start('dev', ...words));
  expect((await next.stop('SIGINT')).exit).toBe(0);
});

test('a second chom dev on one PostgreSQL is refused, and says who is there; the next one is not', async () => {
  const postgres = await startPostgres();
  try {
    const within = chom.within({ CHOM_DATABASE_URL: await postgres.createSchema() });
    const first = await serving(within.start('dev', ...(await freePorts())[1]));
    const second = await within('dev', ...(await freePorts())[1]);
    expect(second.exit).toBe(1);
    expect(second.stderr).toContain('Another chom dev works with this database');
    expect(second.stderr).toMatch(/cause +it runs on this machine, since /);
    await first.stop('SIGKILL');
    const next = await serving(within.start('dev', ...(await freePorts())[1]));
    expect((await next.stop('SIGINT')).exit).toBe(0);
  } finally {
    await Promise.all([...running].map(async (one) => await one.stop()));
    await postgres.stop();
  }
});

describe('a Temporal that a configuration file names', () => {
  const file = join(tmpdir(), `chom-temporal-${process.pid}.toml`);
  const configured = () => chom.within({ TEMPORAL_CONFIG_FILE: file });
  afterAll(async () => await rm(file, { force: true }));

  test('is used by chom dev instead of one of its own, with its namespace', async () => {
    const [port, words] = await freePorts();
    const other = await serving(chom.within({ TEMPORAL_NAMESPACE: 'agency' }).start('dev', ...words));
    await writeFile(file, `[profile.default]\naddress = "localhost:${port}"\nnamespace = "agency"\n`);
    const [, unused] = await freePorts();
    const dev = await serving(configured().start('dev', ...unused));
    const { stderr } = dev.said();
    expect(stderr).toContain(`Temporal    127.0.0.1:${port}`);
    expect(stderr).toContain('"namespace":"agency"');
    expect(stderr).not.toContain('Temporal UI');
    const nowhere = await configured().within({ TEMPORAL_NAMESPACE: 'nowhere' })('worker');
    expect([nowhere.exit, nowhere.stderr]).toEqual([12, expect.stringContaining('Namespace nowhere is not found')]);
    expect((await dev.stop('SIGINT')).exit).toBe(0);
    expect((await other.stop('SIGINT')).exit).toBe(0);
  });

  test('is named where it does not answer, and a profile that there is not, by dev and worker', async () => {
    const port = await freePort();
    await writeFile(file, `[profile.default]\naddress = "127.0.0.1:${port}"\n`);
    for (const command of ['dev', 'worker']) {
      const away = await configured()(command, ...(command === 'dev' ? (await freePorts())[1] : []));
      expect([away.exit, away.stderr]).toEqual([12, expect.stringContaining(`does not answer at 127.0.0.1:${port}`)]);
      const unknown = await configured().within({ TEMPORAL_PROFILE: 'none' })(command);
      expect(unknown.exit).toBe(2);
      expect(unknown.stderr).toMatch(/cause {2}Profile 'none' not found[^]*\n {2}next {3}correct the TEMPORAL_/);
    }
  });
});
