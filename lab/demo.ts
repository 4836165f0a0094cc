import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text as readText } from 'node:stream/consumers';
import type { TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { startLab, type Lab } from './index.js';
import { startSmtpSink } from './smtp.js';
import { serveWordpress, type WordpressServer } from './wordpress.js';
import { freePort } from './ports.js';

/**
 * CHOM at work, on a real Debian host of this machine: a bare server becomes one that serves a static, a PHP, a WordPress
 * and a Laravel site over HTTPS, and the worker is killed on the way. `--keep` leaves everything up until Ctrl-C.
 */
const CHOM = fileURLToPath(new URL('../dist/client/chom.js', import.meta.url));
const LARAVEL = fileURLToPath(new URL('./laravel', import.meta.url));
const keep = process.argv.includes('--keep');
const rows: [what: string, seconds: number, seen: string][] = [];
const undo: (() => Promise<unknown>)[] = [];
let asking: ChildProcess | undefined;
let stopped = false;
let up = false;
const interrupted = new Promise<number>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      stopped = true;
      resolve(up ? 0 : 130);
    });
  }
});

/** Runs the command line as an operator would; `onLine` sees each line of its progress. */
async function chom(environment: NodeJS.ProcessEnv, words: string[], onLine?: (line: string) => void): Promise<void> {
  say(`\n$ chom ${words.join(' ')}`);
  const child = spawn(process.execPath, [CHOM, ...words], { env: environment, stdio: ['ignore', 'inherit', 'pipe'] });
  asking = child;
  for await (const line of createInterface({ input: child.stderr })) {
    say(`  ${line}`);
    onLine?.(line);
  }
  const status = await ended(child);
  if (status !== 0) throw new Error(`chom ${words[0]} ended with ${status}`);
}

async function main(): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'chom-demo-'));
  undo.push(() => rm(home, { recursive: true, force: true }));
  const lab = await timed('a bare Debian 13 server boots', 'real systemd and sshd, nothing else', async () => {
    const started = await startLab({ hosts: [{ name: 'web1', bare: true }], acme: true });
    undo.push(() => started.down());
    await started.host('web1').waitForSsh();
    return started;
  });
  const wordpress = await serveWordpress();
  undo.push(wordpress.close);
  const environment = await settings(lab, home, wordpress);
  const dev = await startDev(environment);
  const web1 = lab.host('web1');
  const key = join(home, 'operator-key');
  await writeFile(key, web1.privateKey, { mode: 0o600 });
  const relay = await startSmtpSink(web1.address.replace(/\d+$/, '1'));
  undo.push(relay.close);
  const at = ['--host', web1.address, '--key', key, '--host-key', web1.hostKey, '--smtp-relay', relay.relay];
  await timed('chom server add web1', 'nginx, PHP, MariaDB installed', () =>
    chom(environment, ['server', 'add', 'web1', ...at]),
  );

  const [files, php] = await contents(home);
  await timed('chom site create static.demo.test', 'with certificate', () =>
    chom(environment, ['site', 'create', 'static.demo.test', '--server', 'web1', '--from', files]),
  );
  rows.push(['https://static.demo.test/', ...(await visit(lab, 'static.demo.test'))]);

  let killed = false;
  const kill = (line: string): void => {
    if (killed || !line.includes('▶ Publish the site')) return;
    killed = true;
    const worker = workerOf(dev);
    process.kill(worker, 'SIGKILL');
    say(`\n  ⚡ kill -9 ${worker}: the worker is dead, in the middle of this step\n`);
  };
  const words = ['site', 'create', 'php.demo.test', '--server', 'web1', '--type', 'php', '--from', php];
  await timed('chom site create php.demo.test', 'worker killed on the way', () => chom(environment, words, kill));
  if (!killed) throw new Error('the worker was not killed: the step was not seen');
  rows.push(['https://php.demo.test/', ...(await visit(lab, 'php.demo.test'))]);

  const blog = ['site', 'create', 'wordpress.demo.test', '--server', 'web1', '--type', 'wordpress'];
  await timed('chom site create wordpress.demo.test', 'own database, cron and first login', () =>
    chom(environment, [...blog, '--title', 'Hello from WordPress', '--admin-email', 'you@demo.test']),
  );
  rows.push(['https://wordpress.demo.test/', ...(await visit(lab, 'wordpress.demo.test'))]);
  const shop = ['site', 'create', 'laravel.demo.test', '--server', 'web1', '--type', 'laravel', '--from', LARAVEL];
  await timed('chom site create laravel.demo.test', 'own database, scheduler and queue', () => chom(environment, shop));
  rows.push(['https://laravel.demo.test/', ...(await visit(lab, 'laravel.demo.test'))]);
  await chom(environment, ['site', 'list']);
  await chom(environment, ['op', 'list']);
  await chom(environment, ['certificate', 'list']);

  say(`\n${table()}`);
  say(`\nTemporal UI: ${environment['DEMO_UI']} (while this runs; npm run demo -- --keep leaves it up)`);
  if (keep) await whileItIsUp(environment);
}

async function settings(lab: Lab, home: string, wordpress: WordpressServer): Promise<NodeJS.ProcessEnv> {
  const acme = lab.acme;
  if (!acme) throw new Error('the lab has no certificate authority');
  const { address } = lab.host('web1');
  for (const domain of ['static', 'php', 'wordpress', 'laravel'].map((type) => `${type}.demo.test`))
    await acme.setAddress(domain, { a: [address] });
  const [port, ui, codec] = await Promise.all([freePort(), freePort(), freePort()]);
  return {
    ...process.env,
    NO_COLOR: '1',
    CHOM_HOME: home,
    CHOM_ACME_DIRECTORY: acme.directoryUrl,
    CHOM_ACME_CA_FILE: acme.caFile,
    CHOM_DNS_SERVER: acme.dnsServer,
    CHOM_WORDPRESS_URL: wordpress.url,
    CHOM_WORDPRESS_SHA256: wordpress.sha256,
    TEMPORAL_ADDRESS: `127.0.0.1:${port}`,
    DEMO_PORTS: `${port} ${ui} ${codec}`,
    DEMO_UI: `http://127.0.0.1:${ui}`,
  };
}

async function startDev(environment: NodeJS.ProcessEnv): Promise<ChildProcess> {
  const [port = '', ui = '', codec = ''] = (environment['DEMO_PORTS'] ?? '').split(' ');
  say(`\n$ chom dev --port ${port} --ui-port ${ui} --codec-port ${codec}`);
  // Its own server: an address that is set would be taken for somebody's Temporal.
  const { TEMPORAL_ADDRESS: _, ...own } = environment;
  const words = [CHOM, 'dev', '--port', port, '--ui-port', ui, '--codec-port', codec];
  const dev = spawn(process.execPath, words, { env: own, stdio: ['ignore', 'ignore', 'pipe'] });
  undo.push(async () => {
    dev.kill('SIGINT');
    await ended(dev);
  });
  await new Promise<void>((resolve, reject) => {
    const lines = createInterface({ input: dev.stderr });
    lines.on('line', (line) => {
      // The worker's log is for its operator; here its start alone is told.
      if (!line.startsWith('{')) say(`  ${line}`);
      if (line.includes('"worker started"')) resolve();
    });
    dev.once('exit', (status) => reject(new Error(`chom dev ended with ${status}`)));
  });
  return dev;
}

/** The worker is the one child of `chom dev` that is a Node process. */
function workerOf(dev: ChildProcess): number {
  const children = execFileSync('ps', ['--ppid', String(dev.pid), '-o', 'pid=,comm='], { encoding: 'utf8' });
  const line = children.split('\n').find((text) => text.includes('node'));
  const pid = Number(line?.trim().split(/\s+/)[0]);
  if (!pid) throw new Error(`no worker found below ${dev.pid}: ${children}`);
  return pid;
}

/** Fetches the page as a visitor would, trusting the lab's authority alone; returns seconds and what was seen. */
async function visit(lab: Lab, domain: string): Promise<[seconds: number, seen: string]> {
  const ca = await lab.acme?.rootCertificate();
  const started = performance.now();
  const [status, body, issuer] = await new Promise<[number, string, string]>((resolve, reject) => {
    const { address } = lab.host('web1');
    const asked = request({ host: address, servername: domain, headers: { host: domain }, ca, timeout: 10_000 });
    asked.once('response', (response) => {
      const certificate = (response.socket as TLSSocket).getPeerCertificate();
      readText(response).then(
        (page) => resolve([response.statusCode ?? 0, page, String(certificate.issuer.CN)]),
        reject,
      );
    });
    asked.once('timeout', () => asked.destroy(new Error(`${domain} does not answer`)));
    asked.once('error', reject);
    asked.end();
  });
  const seconds = (performance.now() - started) / 1000;
  const title = body
    .replaceAll(/<(style|script)\b[\s\S]*?<\/\1>|<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
  if (status !== 200) throw new Error(`https://${domain}/ answers ${status}: ${title.slice(0, 200)}`);
  return [seconds, `${status} "${title.slice(0, 40)}", certificate by ${issuer}`];
}

/** What an agency would bring along: a page, and a program. */
async function contents(home: string): Promise<[page: string, program: string]> {
  const page = join(home, 'page');
  const program = join(home, 'program');
  await mkdir(page);
  await mkdir(program);
  await writeFile(join(page, 'index.html'), '<!doctype html><title>Hello</title><h1>Hello from a static site</h1>\n');
  await writeFile(
    join(program, 'index.php'),
    "<?php echo 'Hello from PHP ', PHP_VERSION, ' as ', get_current_user();\n",
  );
  return [page, program];
}

async function timed<Result>(what: string, seen: string, fn: () => Promise<Result>): Promise<Result> {
  const started = performance.now();
  const result = await fn();
  rows.push([what, (performance.now() - started) / 1000, seen]);
  return result;
}

function table(): string {
  const width = Math.max(...rows.map(([what]) => what.length));
  return rows
    .map(([what, seconds, seen]) => `${what.padEnd(width)}  ${seconds.toFixed(1).padStart(6)} s  ${seen}`)
    .join('\n');
}

async function whileItIsUp(environment: NodeJS.ProcessEnv): Promise<void> {
  const names = [
    'CHOM_HOME',
    'CHOM_ACME_DIRECTORY',
    'CHOM_ACME_CA_FILE',
    'CHOM_DNS_SERVER',
    'TEMPORAL_ADDRESS',
    'CHOM_WORDPRESS_URL',
    'CHOM_WORDPRESS_SHA256',
  ];
  say('\nIn another terminal:');
  say(`  export ${names.map((name) => `${name}=${environment[name]}`).join(' ')}`);
  say('  npm run -s chom -- site list\n\nCtrl-C ends it all.');
  up = true;
  await interrupted;
}

async function ended(child: ChildProcess): Promise<number | NodeJS.Signals | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode ?? child.signalCode;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Whatever was started meanwhile ends too; what fails to end keeps nothing else up. */
async function end(): Promise<void> {
  asking?.kill();
  for (let one = undo.pop(); one; one = undo.pop()) {
    await one().catch((error: unknown) => say(`Not ended: ${error instanceof Error ? error.message : String(error)}`));
  }
}

const done = main().then(
  () => 0,
  (error: unknown) => {
    if (!stopped) say(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  },
);
const status = await Promise.race([done, interrupted]);
await end();
// After Ctrl-C the demo itself may still wait for what has ended.
process.exit(status);
