import { readdir, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { DYNAMIC_CONFIG, temporalArguments } from '../../src/client/temporal-server.js';
import { SEARCH_ATTRIBUTES } from '../../src/workflows/names.js';

const packaging = new URL('../../packaging/', import.meta.url);
const read = async (path: string) => await readFile(new URL(path, packaging), 'utf8');

test('the unit starts Temporal as chom dev does', async () => {
  const unit = await read('systemd/chom-temporal.service');
  const [, line = ''] = /^ExecStart=\S+ ((?:.*\\\n)*.*)$/m.exec(unit) ?? [];
  const words = line
    .replaceAll('\\\n', ' ')
    .trim()
    .split(/\s+/)
    .map((word) => word.replace(/^'(.*)'$/, '$1'));
  const file = '/var/lib/chom-temporal/temporal.db';
  const options = { program: 'temporal', port: 7233, uiPort: 8233, file, logFile: '' };
  expect(words.toSorted()).toEqual(
    temporalArguments({ ...options, codecEndpoint: 'http://127.0.0.1:8234' }).toSorted(),
  );
});

test('the compose file has Temporal work as chom dev does', async () => {
  const settings = await read('compose/temporal/dynamic-config.yaml');
  const found = [...settings.matchAll(/^(\S+): \[\{ value: (\S+) \}\]$/gm)].map(
    ([, name, value]) => `${name}=${value}`,
  );
  expect(found).toEqual(DYNAMIC_CONFIG.map((setting) => setting.replaceAll('"', '')));
  const namespace = await read('compose/temporal/namespace.sh');
  for (const { name } of Object.values(SEARCH_ATTRIBUTES)) expect(namespace).toContain(`--name ${name} --type Keyword`);
});

test('what is stopped has longer than a worker takes to end', async () => {
  // 30 s until it is forced, and 10 s in which what it holds is closed: src/worker.ts.
  const worker = await readFile(new URL('../../src/worker.ts', import.meta.url), 'utf8');
  expect(worker).toContain("shutdownForceTime: '30 seconds'");
  expect(worker).toContain('process.exit(), 10_000)');
  const seconds = async (path: string, setting: RegExp) => Number(setting.exec(await read(path))?.[1]);
  expect(await seconds('systemd/chom-worker.service', /^TimeoutStopSec=(\d+)$/m)).toBeGreaterThan(40);
  expect(
    await seconds('compose/docker-compose.yml', /worker:\n(?: {4}.*\n)*? {4}stop_grace_period: (\d+)s/),
  ).toBeGreaterThan(40);
});

test('nothing of the compose file is published beyond loopback, and no secret stands in it', async () => {
  const compose = await read('compose/docker-compose.yml');
  const published = [...compose.matchAll(/ports: \[([^\]]*)\]/g)].map(([, ports = '']) => ports);
  expect(published.length).toBeGreaterThan(3);
  for (const ports of published) expect(ports).toMatch(/^'127\.0\.0\.1:/);
  expect(compose).not.toMatch(/PASSWORD: |PWD: /);
});

test('no unit keeps more than it needs', async () => {
  const units = (await readdir(new URL('systemd/', packaging))).filter((name) => name.endsWith('.service'));
  expect(units).toHaveLength(4);
  for (const name of units) {
    const unit = await read(`systemd/${name}`);
    for (const line of ['NoNewPrivileges=yes', 'ProtectSystem=strict', 'CapabilityBoundingSet=', 'Restart=always']) {
      expect(unit.split('\n'), name).toContain(line);
    }
  }
});
