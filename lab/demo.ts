import { execFileSync } from 'node:child_process';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chom, chomJson, chomKilled, say, startDev, stopAsking, table, timed, visited } from './demo/stage.js';
import { visit } from './demo/visitor.js';
import { startLab, type Lab, type LabHost } from './index.js';
import { freePort } from './ports.js';
import { startSmtpSink } from './smtp.js';
import { serveWordpress, type WordpressServer } from './wordpress.js';

/**
 * CHOM at work, on real Debian hosts of this machine: a bare server becomes one that serves a static, a PHP, a WordPress
 * and a Laravel site over HTTPS; the WordPress site is backed up, destroyed and restored; and the worker is killed on the
 * way, again and again. `--keep` leaves everything up until Ctrl-C.
 */
const LARAVEL = fileURLToPath(new URL('./laravel', import.meta.url));
const BLOG = 'wordpress.demo.test';
const keep = process.argv.includes('--keep');
const undo: (() => Promise<unknown>)[] = [];
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

async function main(): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'chom-demo-'));
  undo.push(() => rm(home, { recursive: true, force: true }));
  const lab = await timed('a bare Debian 13 server and a store boot', 'real systemd and sshd', async () => {
    const started = await startLab({
      hosts: [
        { name: 'web1', bare: true },
        { name: 'store1', store: true },
      ],
      acme: true,
    });
    undo.push(() => started.down());
    await Promise.all([started.host('web1').waitForSsh(), started.store.host.waitForSsh()]);
    return started;
  });
  const wordpress = await serveWordpress();
  undo.push(wordpress.close);
  const ports = await Promise.all([freePort(), freePort(), freePort()]);
  const environment = await settings(lab, { home, wordpress, port: ports[0] });
  const running = await startDev(environment, ports);
  const { dev } = running;
  undo.push(running.end);
  const web1 = lab.host('web1');
  const relay = await startSmtpSink(web1.address.replace(/\d+$/, '1'));
  undo.push(relay.close);
  const key = await keyOf(web1, home);
  const at = ['--host', web1.address, '--key', key, '--host-key', web1.hostKey, '--smtp-relay', relay.relay];
  await timed('chom server add web1', 'nginx, PHP, MariaDB installed', () =>
    chom(environment, ['server', 'add', 'web1', ...at]),
  );

  const [files, php] = await contents(home);
  const page = ['site', 'create', 'static.demo.test', '--server', 'web1', '--from', files];
  await timed('chom site create static.demo.test', 'with certificate', () => chom(environment, page));
  await visited('https://static.demo.test/', () => visit(lab, 'static.demo.test'));
  const program = ['site', 'create', 'php.demo.test', '--server', 'web1', '--type', 'php', '--from', php];
  await timed('chom site create php.demo.test', 'worker killed on the way', () =>
    chomKilled(environment, program, { dev, step: 'Publish the site' }),
  );
  await visited('https://php.demo.test/', () => visit(lab, 'php.demo.test'));
  const blog = ['site', 'create', BLOG, '--server', 'web1', '--type', 'wordpress'];
  await timed(`chom site create ${BLOG}`, 'own database, cron and first login', () =>
    chom(environment, [...blog, '--title', 'Hello from WordPress', '--admin-email', 'you@demo.test']),
  );
  await visited(`https://${BLOG}/`, () => visit(lab, BLOG));
  const shop = ['site', 'create', 'laravel.demo.test', '--server', 'web1', '--type', 'laravel', '--from', LARAVEL];
  await timed('chom site create laravel.demo.test', 'own database, scheduler and queue', () => chom(environment, shop));
  await visited('https://laravel.demo.test/', () => visit(lab, 'laravel.demo.test'));

  await backUpAndRestore(lab, environment, { dev, home });
  await chom(environment, ['site', 'list']);
  await chom(environment, ['op', 'list']);
  await chom(environment, ['certificate', 'list']);
  say(`\n${table()}`);
  say(`\nTemporal UI: http://127.0.0.1:${ports[1]} (while this runs; npm run demo -- --keep leaves it up)`);
  if (keep) await whileItIsUp(environment);
}

/** The day that backups are for. */
async function backUpAndRestore(
  lab: Lab,
  environment: NodeJS.ProcessEnv,
  { dev, home }: { dev: Awaited<ReturnType<typeof startDev>>['dev']; home: string },
): Promise<void> {
  const { store } = lab;
  const key = await keyOf(store.host, home);
  await store.authorize(execFileSync('ssh-keygen', ['-y', '-f', key], { encoding: 'utf8' }).trim());
  const where = ['--repository', store.sftp, '--key', key, '--host-key', store.host.hostKey];
  await chom(environment, ['storage', 'add', 'store', ...where]);
  await timed(`chom backup create ${BLOG}`, 'worker killed on the way', () =>
    chomKilled(environment, ['backup', 'create', BLOG], { dev, step: 'Back up' }),
  );
  const { backups } = chomJson(environment, ['backup', 'list', BLOG]) as { backups: { id: string }[] };
  const id = backups[0]?.id ?? '';
  await timed(`chom backup verify ${id}`, 'restored into a scratch place, and asked for its page', () =>
    chom(environment, ['backup', 'verify', id]),
  );

  const { sites } = chomJson(environment, ['site', 'list']) as { sites: { id: string; domain: string }[] };
  const site = sites.find(({ domain }) => domain === BLOG)?.id ?? '';
  const ruin = `rm -rf /srv/chom/${site}/app/* && mariadb -N -e "SELECT CONCAT('DROP TABLE ', TABLE_NAME, ';') FROM information_schema.TABLES WHERE TABLE_SCHEMA = '${site}'" | mariadb ${site}`;
  say(`\nroot@web1:~# ${ruin}`);
  const { exit, stderr } = await lab.host('web1').exec(ruin);
  if (exit !== 0) throw new Error(stderr);
  await visited(`https://${BLOG}/, files deleted, tables dropped`, () => visit(lab, BLOG, 403));
  await timed(`chom backup restore ${id}`, 'worker killed on the way', () =>
    chomKilled(environment, ['backup', 'restore', id], { dev, step: 'Switch to what was restored' }),
  );
  await visited(`https://${BLOG}/`, () => visit(lab, BLOG));
}

async function settings(
  lab: Lab,
  { home, wordpress, port }: { home: string; wordpress: WordpressServer; port: number },
): Promise<NodeJS.ProcessEnv> {
  const acme = lab.acme;
  if (!acme) throw new Error('the lab has no certificate authority');
  const { address } = lab.host('web1');
  for (const domain of ['static', 'php', 'wordpress', 'laravel'].map((type) => `${type}.demo.test`))
    await acme.setAddress(domain, { a: [address] });
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
  };
}

/** A file with the key that may log in to a host of the lab. */
async function keyOf({ name, privateKey }: LabHost, home: string): Promise<string> {
  const file = join(home, `${name}-key`);
  await writeFile(file, privateKey, { mode: 0o600 });
  return file;
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

/** Whatever was started meanwhile ends too; what fails to end keeps nothing else up. */
async function end(): Promise<void> {
  stopAsking();
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
