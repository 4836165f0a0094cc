import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { poll } from '../../lab/poll.js';
import { type SmtpSink, startSmtpSink } from '../../lab/smtp.js';
import { serveWordpress, type WordpressServer } from '../../lab/wordpress.js';
import { type Request, submit } from '../../src/client/submit.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import { sitePlan } from '../../src/workflows/plans.js';
import { httpReceiver } from '../delivery/receiver.js';
import { waitsOf } from '../workflows/timers.js';
import { startGitServer } from './git-server.js';
import { hostTree } from './host-tree.js';
import { type Rig, startRig } from './rig.js';
import { type Told, toldOf } from './told.js';

const HOSTS = ['new', 'old'] as const;
const PHP = { new: '8.4', old: '8.2' } as const;

const LARAVEL = fileURLToPath(new URL('../../lab/laravel', import.meta.url));

/** Where any user of a Debian may write. */
const SHARED = ['/tmp', '/var/tmp', '/dev/shm', '/dev/mqueue', '/run/lock', '/var/lib/php/sessions'];

let rig: Rig;
let told: Told;
let files: string;
let wordpress: WordpressServer;
let sink: SmtpSink;
beforeAll(async () => {
  files = await mkdtemp(join(tmpdir(), 'chom-files-'));
  await mkdir(join(files, 'static'));
  await writeFile(join(files, 'static', 'index.html'), '<p>from an archive</p>');
  await writeFile(join(files, 'static', 'über uns.html'), 'about');
  await promisify(execFile)('tar', ['-czf', join(files, 'site.tar.gz'), '-C', files, 'static']);
  await mkdir(join(files, 'app'));
  const page = '<?php echo "PHP " . PHP_VERSION . " as " . posix_getpwuid(posix_geteuid())["name"];';
  await writeFile(join(files, 'app', 'index.php'), page);
  await mkdir(join(files, 'database'));
  const asks = `<?php $user = posix_getpwuid(posix_geteuid())['name'];
$db = new mysqli('localhost', $user, '', $user);
$one = fn($sql) => implode(' ', array_column($db->query($sql)->fetch_all(), 0));
$db->query('CREATE TABLE IF NOT EXISTS t (n INT)');
echo $one('SELECT CURRENT_USER()'), ': ', $one('SELECT schema_name FROM information_schema.schemata ORDER BY 1'), ', ', $one('SELECT @@max_user_connections'), ' connections';`;
  await writeFile(join(files, 'database', 'index.php'), asks);
  wordpress = await serveWordpress();
  const { url: CHOM_WORDPRESS_URL, sha256: CHOM_WORDPRESS_SHA256 } = wordpress;
  const environment = { CHOM_ALLOW_PRIVATE_GIT: 'true', CHOM_WORDPRESS_URL, CHOM_WORDPRESS_SHA256 };
  rig = await startRig({ hosts: [{ name: 'new' }, { name: 'old', debian: 12 }], environment });
  await rig.startWorker();
  told = await toldOf(rig);
  sink = await startSmtpSink(rig.lab.host('new').address.replace(/\d+$/, '1'));
  await Promise.all(rig.lab.hosts.map(async (host) => await rig.enrol(host, '--smtp-relay', sink.relay)));
});
afterAll(async () => {
  await rig?.down();
  await told?.close();
  await sink?.close();
  await wordpress?.close();
  await rm(files, { recursive: true, force: true });
});

const emitted = async (operation = '') =>
  (await events.list(rig.inventory.db, { operation })).map(({ type, site }) => ({ type, site }));
const visit = async (domain: string, host: string, path = '/') =>
  await rig.fetch(domain, { address: rig.lab.host(host).address, https: false, path });

describe.each(HOSTS)('on %s', (name) => {
  const create = (domain: string, type: string, ...words: string[]) => [
    'site',
    'create',
    domain,
    '--server',
    name,
    '--type',
    type,
    ...words,
    '--no-tls',
    '--json',
  ];

  test('[PS-03/static] serves a static site from an archive, under its aliases too', async () => {
    const domain = `static.${name}.example`;
    const words = ['--server', name, '--from', join(files, 'site.tar.gz'), '--alias', `www.${domain}`, '--no-tls'];
    const { json } = await rig.chom.must('site', 'create', domain, ...words, '--json');
    expect(json).toMatchObject({ status: 'succeeded', site: { domain, status: 'active' }, certificate: null });
    for (const each of [domain, `www.${domain}`]) {
      expect(await visit(each, name)).toMatchObject({ status: 200, body: '<p>from an archive</p>' });
    }
    expect((await visit(domain, name, `/${encodeURIComponent('über uns.html')}`)).body).toBe('about');
    expect((await visit(domain, name, '/missing')).status).toBe(404);
    await rig.replayed(json?.operation ?? '');
  });

  test('[PS-03/php] runs the PHP of a directory, as the own user of the site', async () => {
    const domain = `php.${name}.example`;
    const words = ['--server', name, '--type', 'php', '--from', join(files, 'app'), '--alias', `www.${domain}`];
    const { json } = await rig.chom.must('site', 'create', domain, ...words, '--no-tls', '--json');
    expect((await visit(`www.${domain}`, name)).status).toBe(200);
    const { status, body } = await visit(domain, name);
    expect(status).toBe(200);
    expect(body).toMatch(new RegExp(`^PHP ${PHP[name]}\\.\\d+ as ${json?.site?.id}$`));
    await rig.replayed(json?.operation ?? '');
  });

  test('[PS-03/wordpress] installs a WordPress that lets its administrator in, with jobs and mail of its own', async () => {
    const host = rig.lab.host(name);
    const domain = `wordpress.${name}.example`;
    const admin = `admin@${name}.example`;
    const words = ['--title', `Anna's "Blog" $HOME`, '--admin-user', 'anna', '--admin-email', admin];
    const { json } = await rig.chom.must(...create(domain, 'wordpress', ...words));
    const id = json?.site?.id ?? '';
    expect(json).toMatchObject({ warnings: [], site: { database: id }, admin: { user: 'anna' } });
    const password = json?.admin?.password ?? '';
    expect(password).toMatch(/^[A-Za-z2-9]{20}$/);
    const front = await visit(domain, name);
    expect(front.status).toBe(200);
    expect(front.body).toContain('Anna&#039;s &quot;Blog&quot; $HOME');
    expect((await visit(domain, name, '/wp-json/')).status).toBe(200);
    const never = ['/wp-config.php', '/wp-content/uploads/evil.php', '/.htaccess', '/wp-content/debug.log'];
    for (const path of [...never, '/wp-admin/install.php', '/wp-admin/setup-config.php']) {
      expect([path, (await visit(domain, name, path)).status]).toEqual([path, 404]);
    }
    const post = async (path: string, ...fields: string[]) => {
      const form = fields.map((field) => `--data-urlencode '${field}'`).join(' ');
      const answer = `curl -s -o /dev/null -w '%{http_code} %{redirect_url}' -H 'Host: ${domain}' ${form}`;
      return (await host.exec(`${answer} http://127.0.0.1${path}`)).stdout;
    };
    expect(await post('/wp-login.php', 'log=anna', 'pwd=wrong')).toBe('200 ');
    expect(await post('/wp-login.php', 'log=anna', `pwd=${password}`)).toBe(`302 http://${domain}/wp-admin/`);
    // Through PHP's mail(), as the site.
    await post('/wp-login.php?action=lostpassword', 'user_login=anna');
    const mail = await sink.message(admin);
    expect(mail.from).toBe(`www@${domain}`);
    expect(mail.text).toContain(`From: WordPress <wordpress@${domain}>`);
    expect(mail.text).toContain(`http://${domain}/wp-login.php`);
    // Its cron is a timer's: an event that is due is gone once it ran.
    const wp = (code: string) =>
      `cd /srv/chom/${id}/app && setpriv --reuid=${id} --regid=${id} --clear-groups php${PHP[name]} -r 'require "wp-load.php"; ${code}'`;
    expect((await host.exec(`systemctl is-active chom-cron@${id}.timer`)).stdout).toBe('active\n');
    // Else it could be first.
    await host.exec(`systemctl stop chom-cron@${id}.timer`);
    await host.exec(wp('wp_schedule_single_event(time() - 60, "lab_event");'));
    expect((await host.exec(wp('echo wp_next_scheduled("lab_event") ? "due" : "none";'))).stdout).toBe('due');
    const units = `systemctl start chom-cron@${id}.service chom-cron@${id}.timer`;
    expect(await host.exec(units)).toMatchObject({ exit: 0 });
    expect((await host.exec(wp('echo wp_next_scheduled("lab_event") ? "due" : "none";'))).stdout).toBe('none');
    const modes = await host.exec(
      `cd /srv/chom/${id}/app && stat -c '%a %U %G' . wp-config.php wp-load.php wp-content`,
    );
    const [directory, secret, file] = [`2750 ${id} www-data`, `600 ${id} www-data`, `640 ${id} www-data`];
    expect(modes.stdout.trim().split('\n')).toEqual([directory, secret, file, directory]);
    // Shown once, and kept nowhere.
    const again = await rig.chom.must('op', 'watch', json?.operation ?? '', '--json');
    expect(again.json).not.toHaveProperty('admin');
    const kept = await host.exec(`grep -rlF ${password} /var/lib/chom /run/chom /etc /srv/chom /tmp /var/log`);
    expect(kept.stdout).toBe('');
    expect(await rig.workerLog()).not.toContain(password);
    await rig.replayed(json?.operation ?? '');
  });

  test('is well again after its WordPress lost database and timer, by the commands of the doctor', async () => {
    const host = rig.lab.host(name);
    const domain = `wordpress.${name}.example`;
    const { json } = await rig.chom.must('site', 'show', domain, '--json');
    const id = json?.site?.id ?? '';
    const next = async () => {
      const { json: report } = await rig.chom('site', 'doctor', domain, '--json');
      const checks = report?.['checks'] as { name: string; state: string; next: string }[];
      // Nobody is asked about names here.
      return checks.filter((one) => one.state === 'wrong' && one.name !== 'names').map((one) => [one.name, one.next]);
    };
    expect(await next()).toEqual([]);
    const unit = `chom-cron@${id}.timer`;
    const lose = `mariadb-dump ${id} >/root/${id}.sql && mariadb -e 'DROP DATABASE ${id}' &&
systemctl -q disable --now ${unit} && rm /etc/systemd/system/${unit} && systemctl daemon-reload`;
    expect(await host.exec(lose)).toMatchObject({ exit: 0 });
    const repair = `chom site repair ${domain}`;
    expect(await next()).toEqual([
      ['background', repair],
      ['database', repair],
      ['http', expect.stringContaining(`tail /var/log/nginx/chom/${id}/error.log; journalctl`)],
    ]);
    const read = `mariadb ${id} <FILE (on ${name})`;
    const repaired = await rig.chom.must('site', 'repair', domain, '--json');
    expect(repaired.json?.warnings).toEqual([expect.stringContaining(read)]);
    await rig.replayed(repaired.json?.operation ?? '');
    expect(await next()).toEqual([['database', read]]);
    // Nobody becomes the administrator of what is empty.
    expect((await visit(domain, name, '/wp-admin/install.php')).status).toBe(404);
    expect(await host.exec(`mariadb ${id} </root/${id}.sql`)).toMatchObject({ exit: 0 });
    expect(await next()).toEqual([]);
    const { body } = await visit(domain, name);
    expect(body).toContain('Anna&#039;s');
  });

  test('[PS-03/laravel] runs a Laravel application on a database of its own, with scheduler and queue', async () => {
    const host = rig.lab.host(name);
    const domain = `laravel.${name}.example`;
    const { json } = await rig.chom.must(...create(domain, 'laravel', '--from', LARAVEL));
    const id = json?.site?.id ?? '';
    expect(json).toMatchObject({ warnings: [], site: { database: id } });
    expect(await visit(domain, name)).toMatchObject({
      status: 200,
      body: expect.stringContaining(`Laravel application Lab of ${id}@localhost, visit`) as string,
    });
    for (const path of ['/.env', '/../.env', '/artisan']) {
      expect((await visit(domain, name, path)).body).not.toContain('APP_KEY');
    }
    const environment = await host.exec(`stat -c %a /srv/chom/${id}/app/.env; cat /srv/chom/${id}/app/.env`);
    const lines = environment.stdout.split('\n');
    expect(lines).toEqual(expect.arrayContaining(['600', 'APP_NAME=Lab', 'APP_DEBUG=false', `DB_DATABASE=${id}`]));
    expect(lines.filter((line) => /^#? ?(APP_KEY|DB_CONNECTION|DB_PASSWORD|MAIL_MAILER)=/.test(line))).toHaveLength(4);
    await visit(domain, name, '/enqueue?job=from-a-visitor');
    await host.exec(`systemctl start chom-scheduler@${id}.service`);
    await poll('the worker and the scheduler have done their part', 60_000, async () => {
      const done = JSON.parse((await visit(domain, name, '/done')).body) as [string, string][];
      return ['from-a-visitor', 'schedule'].every((what) => done.some(([did, by]) => did === what && by === id));
    });
    expect((await host.exec(`systemctl is-active chom-scheduler@${id}.timer chom-queue@${id}.service`)).exit).toBe(0);
    expect((await visit(domain, name, `/mail?to=someone@${name}.example`)).status).toBe(200);
    const mail = await sink.message(`someone@${name}.example`);
    expect(mail.from).toBe(`www@${domain}`);
    expect(mail.text).toContain(`From: www@${domain}`);
    await rig.replayed(json?.operation ?? '');
  });

  test('a PHP site gets a database of its own where it is wanted', async () => {
    const domain = `database.${name}.example`;
    const { json } = await rig.chom.must(...create(domain, 'php', '--from', join(files, 'database'), '--database'));
    const id = json?.site?.id ?? '';
    // Its own, with every right there, and no other's: the site made before this one has one too.
    expect((await visit(domain, name)).body).toBe(`${id}@localhost: information_schema ${id}, 20 connections`);
  });

  test('[PS-07] [EV-01/SiteProvisioningFailed] undoes everything when a step fails: the host is as before', async () => {
    const host = rig.lab.host(name);
    const broken = '/etc/nginx/conf.d/broken.conf';
    await host.exec(`echo 'no such directive;' >${broken}`);
    const before = await hostTree(host);
    const domain = `broken.${name}.example`;
    const words = ['--server', name, '--type', 'php', '--from', join(files, 'app'), '--no-tls', '--json'];
    const others = [
      create(`wordpress.${domain}`, 'wordpress', '--admin-email', 'a@b.example'),
      create(`laravel.${domain}`, 'laravel', '--from', LARAVEL),
    ];
    const failed = await Promise.all(others.map(async (other) => await rig.chom(...other)));
    for (const { json } of failed) {
      expect(json).toMatchObject({ status: 'failed', warnings: [], error: { type: 'HostConfigurationBroken' } });
      await rig.replayed(json?.operation ?? '');
    }
    expect(await hostTree(host)).toEqual(before);
    const { exit, json } = await rig.chom('site', 'create', domain, ...words);
    expect(exit).toBe(1);
    expect(json).toMatchObject({ status: 'failed', warnings: [] });
    expect(json?.error?.type).toBe('HostConfigurationBroken');
    expect(json?.error?.message).toContain(broken);
    expect(await hostTree(host)).toEqual(before);
    const site = await sites.byDomain(rig.inventory.db, domain);
    expect(site.status).toBe('failed');
    expect(await emitted(json?.operation)).toEqual([
      { type: 'SiteProvisioningFailed', site: site.id },
      { type: 'Alert', site: site.id },
    ]);
    expect((await visit(`static.${name}.example`, name)).status).toBe(200);
    await host.exec(`rm ${broken}`);
    await rig.chom.must('site', 'create', domain, ...words);
    await rig.replayed(json?.operation ?? '');
  });
});

test('[PS-01] [QC-03] [EV-01/SiteProvisioned] [EV-01/webhooks] gives the id of the operation at once, or waits for its end', async () => {
  const receiver = await httpReceiver((response) => response.end());
  onTestFinished(receiver.close);
  await rig.chom.must('webhook', 'add', 'here', '--url', receiver.url, '--event', 'SiteProvisioned', '--allow-private');
  const create = (domain: string) => ['site', 'create', domain, '--server', 'new', '--no-tls', '--json'];
  const asked = await rig.chom(...create('detached.example'), '--detach');
  expect(asked.exit).toBe(0);
  expect(asked.json).toEqual({ operation: expect.stringMatching(/^provision-site-/) as string, status: 'running' });
  const watched = await rig.chom('op', 'watch', asked.json?.operation ?? '', '--json');
  expect(watched).toMatchObject({ exit: 0, json: { operation: asked.json?.operation, status: 'succeeded' } });
  const waited = await rig.chom(...create('waited.example'));
  expect(waited).toMatchObject({ exit: 0, json: { status: 'succeeded', site: { status: 'active' } } });
  for (const { json } of [watched, waited]) {
    const [{ id } = { id: '' }] = await sites
      .list(rig.inventory.db)
      .then((all) => all.filter(({ createdBy }) => createdBy === json?.operation));
    expect(await emitted(json?.operation)).toEqual([{ type: 'SiteProvisioned', site: id }]);
  }
  // What happened in the second before may be told as well.
  const ours = [watched.json?.operation, waited.json?.operation];
  const got = () =>
    receiver.received
      .map(({ body }) => JSON.parse(body) as { operation: string; site: { domain: string } })
      .filter(({ operation }) => ours.includes(operation));
  await poll('the webhook is told of both', 60_000, async () => got().length >= 2);
  expect(got().map(({ site }) => site.domain)).toEqual(['detached.example', 'waited.example']);
  await rig.chom.must('webhook', 'remove', 'here', '--confirm', 'here');
});

test('[PS-05] asks for no certificate where TLS is off', async () => {
  const { json } = await rig.chom('site', 'create', 'plain.example', '--server', 'new', '--no-tls', '--json');
  expect(json).toMatchObject({ site: { status: 'active', tls: false }, certificate: null, warnings: [] });
  expect(await operations.list(rig.inventory.db, { kind: 'issue-certificate' })).toEqual([]);
  const { stdout } = await rig.lab
    .host('new')
    .exec('ls /var/lib/chom/tls /var/lib/chom/acme/.well-known/acme-challenge');
  expect(stdout).not.toMatch(/^s[a-z2-7]{9}$/m);
});

describe('what cannot become a site is refused, and the host is as it was', () => {
  const refused = async (type: string, words: string[], environment = {}) => {
    const host = rig.lab.host('new');
    const before = await hostTree(host);
    const [domain, chom] = [`refused-${type}.example`, rig.chom.within(environment)];
    const ran = await chom('site', 'create', domain, '--server', 'new', '--type', type, ...words, '--no-tls', '--json');
    expect(ran.exit).toBe(1);
    expect(ran.json?.warnings).toEqual([]);
    expect(await hostTree(host)).toEqual(before);
    return ran.json?.error;
  };

  test('a WordPress with another checksum, and one that is none', async () => {
    const wanted = ['--admin-email', 'admin@refused.example'];
    const other = { CHOM_WORDPRESS_SHA256: 'f'.repeat(64) };
    expect(await refused('wordpress', wanted, other)).toMatchObject({
      type: 'SourceRejected',
      cause: expect.stringContaining(wordpress.sha256) as string,
    });
    const none = await refused('wordpress', [...wanted, '--from', join(files, 'app')]);
    expect(none?.message).toContain('no WordPress');
  });

  test('a Laravel application whose migrations fail, and one that is none', async () => {
    const broken = join(files, 'broken');
    await cp(LARAVEL, broken, { recursive: true });
    // First it leaves something wherever any user may write, which no undo would find.
    const leave = `foreach (['${SHARED.join("', '")}'] as $place) @file_put_contents("$place/left", 'x');`;
    await writeFile(
      join(broken, 'database/migrations/2026_02_broken.php'),
      `<?php ${leave} return ['CREATE TABLE visits (n INT)'];`,
    );
    const failed = await refused('laravel', ['--from', broken]);
    expect(failed).toMatchObject({ type: 'SourceRejected', message: expect.stringContaining('migrat') as string });
    const host = rig.lab.host('new');
    // There they are, and open to a site's user: that nothing lies in them is no accident.
    expect((await host.exec(`stat -c %A ${SHARED.join(' ')}`)).stdout.match(/wt$/gm)).toHaveLength(SHARED.length);
    const { uid } = await sites.byDomain(rig.inventory.db, 'refused-laravel.example');
    const left = `find / -path /proc -prune -o -path /sys -prune -o -uid ${uid} -print`;
    expect((await host.exec(left)).stdout).toBe('');
    const none = await refused('laravel', ['--from', join(files, 'static')]);
    expect(none?.message).toContain('no Laravel application');
  });
});

test('fetches a repository over https on the server itself', async () => {
  const host = rig.lab.host('new');
  const bridge = host.address.replace(/\d+$/, '1');
  const git = await startGitServer(bridge, 'git.lab.test');
  try {
    await git.commit('index.html', '<p>from git</p>');
    const { exit } = await host.exec(`echo '${bridge} git.lab.test' >>/etc/hosts
cat >/usr/local/share/ca-certificates/git.crt <<'PEM'
${git.certificate}PEM
update-ca-certificates`);
    expect(exit).toBe(0);
    const words = ['--server', 'new', '--from', `${git.url}#main`, '--no-tls'];
    await rig.chom.must('site', 'create', 'git.example', ...words);
    expect(await visit('git.example', 'new')).toMatchObject({ status: 200, body: '<p>from git</p>' });
    expect((await visit('git.example', 'new', '/.git/HEAD')).status).toBeGreaterThanOrEqual(403);
  } finally {
    await git.close();
  }
});

describe('what belongs to somebody else', () => {
  test('[FS-07/provision-site] a name that another site has is refused, and that site stays', async () => {
    const host = rig.lab.host('new');
    const before = await hostTree(host, { times: true });
    for (const taken of ['static.new.example', 'www.static.new.example']) {
      const { exit, json } = await rig.chom('site', 'create', taken, '--server', 'new', '--no-tls', '--json');
      expect(exit).toBe(1);
      expect(json?.error).toMatchObject({ type: 'Conflict', message: `${taken} is taken` });
      expect(json?.error?.next).toBe('chom site show static.new.example');
    }
    expect(await hostTree(host, { times: true })).toEqual(before);
  });

  test('[FS-07/provision-site] a name that a foreign site has fails the operation at once, and all is undone', async () => {
    const host = rig.lab.host('new');
    await host.exec(`printf 'server {\\n listen 80;\\n server_name foreign.example;\\n return 200 foreign;\\n}\\n' \\
>/etc/nginx/sites-enabled/foreign; systemctl reload nginx`);
    await expect.poll(async () => (await visit('foreign.example', 'new')).body, { timeout: 60_000 }).toBe('foreign');
    const before = await hostTree(host);
    const { exit, json } = await rig.chom('site', 'create', 'foreign.example', '--server', 'new', '--no-tls', '--json');
    expect(exit).toBe(1);
    expect(json).toMatchObject({ error: { type: 'Conflict' }, warnings: [] });
    expect(waitsOf(await rig.replayed(json?.operation ?? ''), 180)).toEqual([]);
    expect(await hostTree(host)).toEqual(before);
    expect((await visit('foreign.example', 'new')).body).toBe('foreign');
  });

  test('[FS-07/provision-site] the ports, while nginx is down, are left to who holds them', async () => {
    const host = rig.lab.host('new');
    const answering = `$all = stream_socket_server("tcp://0.0.0.0:80"); for (;;) {
  $one = stream_socket_accept($all, -1); fread($one, 9999); fwrite($one, "HTTP/1.0 200 OK\\r\\n\\r\\ntheirs"); fclose($one);
}`;
    // Else systemd would take the program's variables for the environment's.
    const started = `systemd-run -q --collect --expand-environment=no --unit=theirs php -r '${answering}'`;
    expect((await host.exec(`systemctl stop nginx && ${started}`)).exit).toBe(0);
    const theirs = async () => (await visit('held.example', 'new').catch(() => null))?.body;
    await expect.poll(theirs, { timeout: 60_000 }).toBe('theirs');
    const before = await hostTree(host);
    const { exit, json } = await rig.chom('site', 'create', 'held.example', '--server', 'new', '--no-tls', '--json');
    expect(exit).toBe(1);
    expect(json).toMatchObject({ error: { type: 'Conflict' }, warnings: [] });
    expect(json?.error?.message).toContain('port 80 or 443 is held by another program: php');
    expect(await hostTree(host)).toEqual(before);
    expect(await theirs()).toBe('theirs');
    await host.exec('systemctl stop theirs; systemctl start nginx');
    expect((await visit('static.new.example', 'new')).status).toBe(200);
  });

  test.each([
    ['user', (id: string) => `useradd -m ${id} && echo theirs >/home/${id}/file`],
    ['database', (id: string) => `mariadb -e 'CREATE DATABASE ${id}; CREATE TABLE ${id}.theirs (n INT)'`],
    ['database user', (id: string) => `mariadb -e "CREATE USER ${id}@'%' IDENTIFIED BY 'theirs'"`],
    ['directory', (id: string) => `install -d /srv/chom/${id} && echo theirs >/srv/chom/${id}/file`],
  ])('[FS-07/provision-site] a foreign %s of the same name is left alone', async (what, make) => {
    const host = rig.lab.host('new');
    const { id: server } = await servers.byName(rig.inventory.db, 'default', 'new');
    const site = `sforeign${what[0]}${what.at(-1)}`;
    expect((await host.exec(make(site))).exit).toBe(0);
    // A database is looked for when the user was made, which is then taken back.
    const times = !what.startsWith('database');
    const before = await hostTree(host, { times });
    const operation = await submit(rig, request(site, server));
    const { exit, json } = await rig.chom('op', 'watch', operation, '--json');
    expect(exit).toBe(1);
    expect(json?.error).toMatchObject({ type: 'Conflict' });
    expect(json?.warnings).toEqual([]);
    expect(await hostTree(host, { times })).toEqual(before);
  });

  test('an administrator’s user that got the next uid keeps it, and the site gets another', async () => {
    const host = rig.lab.host('new');
    const { id, nextUid } = await rig.inventory.db
      .selectFrom('servers')
      .select(['id', 'nextUid'])
      .where('name', '=', 'new')
      .executeTakeFirstOrThrow();
    expect((await host.exec(`useradd -u ${nextUid} administrator`)).exit).toBe(0);
    await rig.chom.must('site', 'create', 'numbered.example', '--server', 'new', '--no-tls');
    const site = await sites.byDomain(rig.inventory.db, 'numbered.example');
    expect([site.server, site.uid]).toEqual([id, nextUid + 1]);
    expect((await host.exec(`id -u ${site.id}; id -u administrator`)).stdout).toBe(`${nextUid + 1}\n${nextUid}\n`);
    expect((await visit('numbered.example', 'new')).status).toBe(200);
  });
});

test('a relay stays until another is named; without one a new site that could send says so', async () => {
  const host = rig.lab.host('new');
  const named = async () => (await host.exec('grep -h ^port /etc/chom/msmtprc')).stdout.trim();
  await rig.enrol(host);
  expect(await named()).toBe(`port ${sink.relay.split(':')[1]}`);
  await rig.enrol(host, '--smtp-relay', '[2001:db8::25]:587');
  expect(await named()).toBe('port 587');
  await rig.enrol(host, '--smtp-relay', 'none');
  expect(await named()).toBe('');
  const warned = async (type: string) => {
    const words = ['--server', 'new', '--type', type, '--no-tls', '--json'];
    return (await rig.chom.must('site', 'create', `${type}.silent.example`, ...words)).json?.warnings;
  };
  expect(await warned('static')).toEqual([]);
  expect(await warned('php')).toEqual([
    expect.stringMatching(/^new has no SMTP relay: .*server add new … --smtp-relay/),
  ]);
});

test('[PS-08] a site whose server is not there ends early, and nothing is tried twice', async () => {
  const unknown = await rig.chom('site', 'create', 'lost.example', '--server', 'nowhere', '--no-tls', '--json');
  expect(unknown).toMatchObject({ exit: 5, json: { error: { type: 'NotFound', next: 'chom server list' } } });
  // As for a server that is removed between the asking and the doing.
  const operation = await submit(rig, request('slostsite2', 'srv-gone'));
  const { exit, json } = await rig.chom('op', 'watch', operation, '--json');
  expect(exit).toBe(1);
  expect(json?.error).toMatchObject({ type: 'NotFound', message: 'There is no server srv-gone' });
  const row = await operations.byId(rig.inventory.db, operation);
  expect(row.steps).toMatchObject([{ label: 'Check the request', state: 'failed', attempt: 1 }]);
});

function request(site: string, server: string): Request {
  const domain = `${site}.example`;
  const plan = sitePlan.parse({
    database: true,
    ...{
      site,
      server,
      domain,
      tenant: 'default',
      serverName: 'new',
      aliases: [],
      type: 'static',
      php: null,
      tls: false,
    },
    source: { kind: 'placeholder' },
  });
  const { tenant, serverName } = plan;
  return { kind: 'provision-site', input: plan, summary: 'A site', tenant, server, serverName, site, domain };
}

test('[EV-01/SiteProvisioned] [EV-01/SiteProvisioningFailed] [EV-01/webhooks] a webhook was told of each once, in order', async () => {
  expect(await told.all()).toEqual(expect.arrayContaining(['SiteProvisioned', 'SiteProvisioningFailed']));
});
