import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { chromium, type Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { installPackages } from '../../lab/packages.js';
import { poll } from '../../lab/poll.js';
import { freePort } from '../../lab/ports.js';
import { cacheDirectory } from '../../src/client/programs/cache.js';
import { chomCommand, type Chom, type Running } from '../lab/rig-command.js';
import { plainEnvironment } from '../lab/rig.js';
import { startSilent } from './silent-server.js';

/** As Debian's runs as root in a container, and asks nobody on the internet anything. */
const QUIET = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync'],
];
const TOKEN = 'a token of sixteen and more';

let home: string;
let chom: Chom;
let dev: Running;
let browser: Browser;
let ports: { temporal: number; ui: number; codec: number };
const running = new Set<Running>();
beforeAll(async () => {
  await installPackages({ chromium: 'chromium' });
  home = await mkdtemp(join(tmpdir(), 'chom-ui-'));
  ports = { temporal: await freePort(), ui: await freePort(), codec: await freePort() };
  const user = {
    CHOM_HOME: home,
    XDG_CACHE_HOME: join(cacheDirectory(), '..'),
    TEMPORAL_CONFIG_FILE: join(home, 'none'),
  };
  const environment = { ...plainEnvironment(), ...user, CHOM_CODEC_TOKEN: TOKEN };
  const start = chomCommand(environment, (one) => running.add(one));
  chom = start.within({ TEMPORAL_ADDRESS: `127.0.0.1:${ports.temporal}` });
  const words = ['--port', `${ports.temporal}`, '--ui-port', `${ports.ui}`, '--codec-port', `${ports.codec}`];
  dev = start.start('dev', ...words);
  await poll('the worker serves', 120_000, async () => {
    if (dev.process.exitCode !== null) throw new Error(dev.said().stderr);
    return dev.said().stderr.includes('worker started');
  });
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: QUIET });
});
afterAll(async () => {
  await browser?.close();
  await Promise.all([...running].map(async (one) => await one.stop()));
  await rm(home, { recursive: true, force: true });
});

/** Pictures for the documents, where somebody wants new ones. */
const pictures = process.env['CHOM_TEST_PICTURES'];

test('Temporal’s UI finds an operation by a search attribute, and shows its input and its steps in clear', async () => {
  const silent = await startSilent();
  const key = join(home, 'id_ed25519');
  await promisify(execFile)('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  const where = [
    '--host',
    '127.0.0.1',
    '--port',
    `${silent.port}`,
    '--key',
    key,
    '--host-key',
    `SHA256:${'A'.repeat(43)}`,
  ];
  const { json } = await chom.must('server', 'add', 'web1', ...where, '--detach', '--json');
  const operation = json?.operation ?? '';
  const page = await browser.newPage({ viewport: { width: 1200, height: 750 } });
  page.setDefaultTimeout(60_000);
  try {
    await poll('it is at work', 60_000, async () => silent.connections() > 0);
    const address = `http://127.0.0.1:${ports.ui}`;
    const query = encodeURIComponent('`Operation`="enrol-server" AND `Tenant`="default"');
    await page.goto(`${address}/namespaces/default/workflows?query=${query}`);
    await page.getByRole('link', { name: operation }).first().waitFor();
    if (pictures) await page.screenshot({ path: join(pictures, 'ui-operations.png') });
    await page.getByRole('link', { name: operation }).first().click();
    await page.getByText('"address"').waitFor();
    expect(page.url()).toContain(operation);
    const input = page.getByText('"address": "127.0.0.1"').or(page.getByText('"127.0.0.1"')).first();
    await input.waitFor();
    if (pictures) await page.screenshot({ path: join(pictures, 'ui-input.png') });
    await page
      .getByRole('link', { name: 'User Metadata' })
      .or(page.getByRole('tab', { name: 'User Metadata' }))
      .first()
      .click();
    // Markdown is shown in frames of its own; the page itself names the steps too.
    await poll('the steps are shown', 60_000, async () => {
      const frames = page.frames().filter((frame) => frame !== page.mainFrame());
      const texts = frames.map(
        async (frame) =>
          await frame
            .locator('body')
            .innerText()
            .catch(() => ''),
      );
      return (await Promise.all(texts)).some((text) => text.includes('Learn the host key'));
    });
    if (pictures) await page.screenshot({ path: join(pictures, 'ui-steps.png') });
  } finally {
    await page.close();
    silent.close();
  }
});

test('the codec server opens payloads for the UI and for whoever has the token, and for nobody else', async () => {
  const ask = async (headers: Record<string, string>) => {
    const request = { method: 'POST', body: '{"payloads":[]}', headers };
    return (await fetch(`http://127.0.0.1:${ports.codec}/decode`, request)).status;
  };
  expect(await ask({ origin: `http://127.0.0.1:${ports.ui}` })).toBe(200);
  expect(await ask({ authorization: `Bearer ${TOKEN}` })).toBe(200);
  expect(await ask({})).toBe(401);
  expect(await ask({ authorization: 'Bearer guessed' })).toBe(401);
  expect(await ask({ origin: 'http://elsewhere.example' })).toBe(403);
  expect(await ask({ origin: 'http://elsewhere.example', authorization: `Bearer ${TOKEN}` })).toBe(403);
});
