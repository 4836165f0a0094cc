import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { serveWordpress, type WordpressServer } from '../../lab/wordpress.js';
import * as backups from '../../src/inventory/backups.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as sites from '../../src/inventory/sites.js';
import { sh } from '../../src/host/shell.js';
import { ask } from './on-host.js';
import { startRig, type Rig } from './rig.js';

const BLOG = 'blog.lab.test';
const SHOP = 'shop.lab.test';

/** Takes what comes over TCP or a socket of the machine, and notes from where. */
const LISTENER = String.raw`use IO::Socket::INET; use IO::Socket::UNIX; use IO::Select;
my %of = (tcp => IO::Socket::INET->new(LocalPort => 2525, Listen => 9, ReuseAddr => 1), unix => IO::Socket::UNIX->new(Local => "/run/listener", Listen => 9));
chmod 0777, "/run/listener"; open my $log, ">>", "/root/heard"; $log->autoflush(1); print $log "listening\n";
my $all = IO::Select->new(values %of);
while (my @ready = $all->can_read) { for my $one (@ready) { my $client = $one->accept; print $log $one == $of{unix} ? "unix\n" : "tcp\n"; close $client } }`;

/** A site that mails, calls out and writes on every request. */
const PROGRAM = `<?php $site = basename(dirname(__DIR__));
$db = new mysqli('localhost', $site, '', $site);
$db->query('CREATE TABLE IF NOT EXISTS visits (id INT AUTO_INCREMENT PRIMARY KEY)');
$db->query('INSERT INTO visits VALUES ()');
file_put_contents(__DIR__ . '/visits', "visit\\n", FILE_APPEND);
@mail('someone@example.org', 'subject', 'text');
foreach (['tcp://127.0.0.1:2525', 'unix:///run/listener'] as $where) @stream_socket_client($where, $number, $why, 5);
echo 'a page';`;

let rig: Rig;
let wordpress: WordpressServer;
let web1: LabHost;
let files: string;
let shop: string;
beforeAll(async () => {
  wordpress = await serveWordpress();
  files = await mkdtemp(join(tmpdir(), 'chom-files-'));
  await mkdir(join(files, 'app'));
  await writeFile(join(files, 'app', 'index.php'), PROGRAM);
  await writeFile(join(files, 'app', 'plain.txt'), 'plain');
  const { url: CHOM_WORDPRESS_URL, sha256: CHOM_WORDPRESS_SHA256 } = wordpress;
  rig = await startRig({ hosts: [{ name: 'web1' }], environment: { CHOM_WORDPRESS_URL, CHOM_WORDPRESS_SHA256 } });
  web1 = rig.lab.host('web1');
  await rig.startWorker();
  await rig.enrol(web1, '--smtp-relay', '127.0.0.1:2525');
  await ask(web1, sh`install -d -m 0700 /backups`);
  await rig.chom.must('storage', 'add', 'here', '--repository', '/backups');
  const admin = ['--type', 'wordpress', '--admin-email', 'admin@lab.test'];
  const php = ['--type', 'php', '--database', '--from', join(files, 'app')];
  await rig.chom.must('site', 'create', BLOG, '--server', 'web1', '--no-tls', ...admin);
  await rig.chom.must('site', 'create', SHOP, '--server', 'web1', '--no-tls', ...php);
  shop = (await sites.byDomain(rig.inventory.db, SHOP)).id;
  await ask(web1, sh`systemd-run --quiet --unit=listener perl -e ${LISTENER}`);
  await poll('it listens', 60_000, async () => (await heard()).includes('listening'));
});
afterAll(async () => {
  await rig?.down();
  await wordpress?.close();
  await rm(files, { recursive: true, force: true });
});

const heard = async () => (await web1.exec('cat /root/heard')).stdout;
const get = async (path: string) => await rig.fetch(SHOP, { address: web1.address, https: false, path });

interface Shown {
  operation: string;
  backup: { id: string; state: string; verifiedAt: string | null; snapshots: { role: string; id: string }[] };
}
const must = async (...words: string[]) => (await rig.chom.must('backup', ...words, '--json')).json as unknown as Shown;
const create = async (domain: string, ...words: string[]) => (await must('create', domain, ...words)).backup;
const backupOf = async (id: string) => await backups.byId(rig.inventory.db, id);
const eventsOf = async (operation: string) => await events.list(rig.inventory.db, { operation });

/** Everything that the live sites are, and what was heard of them. */
async function live(): Promise<string> {
  return await ask(
    web1,
    sh`cat /root/heard
find /srv/chom -mindepth 2 -path '*/tmp/*' -prune -o -printf '%p %y %m %u %s %T@\n' | sort
mariadb-dump --skip-dump-date ${shop} | sha256sum
mariadb -N -e "SHOW DATABASES; SELECT User FROM mysql.global_priv"
find /var/spool -type f`,
  );
}

/** How often the shop was visited: by its own account, and by CHOM when it was made. */
const visits = async () => Number(await ask(web1, sh`mariadb -N -e 'SELECT COUNT(*) FROM visits' ${shop}`));

/** Nothing of a verification runs, or lies beside a site. */
async function nothingLeft(): Promise<void> {
  const { stdout } = await web1.exec(`pgrep -a 'restic' ; pgrep -af '[c]hom-scratch'
ls -A /srv/chom/* | grep '^[.]restore'; ls /var/lib/chom/restores
systemctl list-units --no-legend --plain 'chom-*-act.service'; find /run/chom/secrets -mindepth 1`);
  expect(stdout).toBe('');
}

/** Begins one of the shop's, and waits until its database runs beside the live one. */
async function inTheMiddle(): Promise<string> {
  const { operation } = await must('verify', SHOP, '--detach');
  await poll(
    'it is tried out',
    120_000,
    async () => (await web1.exec('pgrep -f datadir=/var/lib/[c]hom-scratch')).exit === 0,
  );
  return operation;
}

describe('a backup that is verified', () => {
  test('is tried by a site that mails, calls out and writes, and does none of it meanwhile', async () => {
    expect((await get('/')).body).toBe('a page');
    await poll('the live site was heard', 60_000, async () => /tcp\ntcp\nunix|tcp\nunix\ntcp/.test(await heard()));
    const backup = await create(SHOP);
    const before = await live();
    const { operation } = await must('verify', backup.id, '--detach');
    await poll('it has ended', 240_000, async () => {
      expect((await get('/plain.txt')).status).toBe(200);
      return (await operations.byId(rig.inventory.db, operation)).outcome !== null;
    });
    expect(await operations.byId(rig.inventory.db, operation)).toMatchObject({ outcome: 'succeeded', warnings: [] });
    expect(await eventsOf(operation)).toMatchObject([
      { type: 'BackupVerified', data: { tables: 1, rows: await visits(), page: { status: 200, bytes: 6 } } },
    ]);
    expect(await backupOf(backup.id)).toMatchObject({ state: 'verified', verifiedAt: expect.any(String) });
    await nothingLeft();
    expect(await live()).toBe(before);
    await rig.replayed(operation);
    expect((await get('/')).body).toBe('a page');
  });

  test('may be of a WordPress, of files alone or of a database alone', async () => {
    const page = async (domain: string, ...words: string[]) => {
      const { id } = await create(domain, ...words);
      const { operation, backup } = await must('verify', domain);
      expect(backup).toMatchObject({ id, state: 'verified' });
      const [event] = await eventsOf(operation);
      return event?.data;
    };
    expect(await page(BLOG)).toMatchObject({ tables: expect.any(Number), page: { status: 200 } });
    expect(await page(SHOP, '--files')).toMatchObject({ files: 3, tables: null, page: null });
    expect(await page(SHOP, '--database')).toMatchObject({ files: null, rows: await visits(), page: null });
    await nothingLeft();
  });
});

test('goes on where its worker is killed in the middle, and leaves nothing when it is cancelled there', async () => {
  const { id } = await create(SHOP);
  const before = await live();
  const killed = await inTheMiddle();
  await rig.killWorker();
  await rig.startWorker();
  expect((await rig.chom('op', 'watch', killed)).exit).toBe(0);
  expect(await backupOf(id)).toMatchObject({ state: 'verified' });
  await nothingLeft();
  const cancelled = await inTheMiddle();
  await rig.chom.must('op', 'cancel', cancelled);
  await rig.chom('op', 'watch', cancelled);
  expect(await operations.byId(rig.inventory.db, cancelled)).toMatchObject({ outcome: 'cancelled', warnings: [] });
  await nothingLeft();
  expect(await live()).toBe(before);
});

describe('a backup that was damaged is not verified', () => {
  const refused = async (id: string) => {
    const ran = await rig.chom('backup', 'verify', id, '--json');
    expect((await eventsOf(ran.json?.operation ?? '')).map(({ type }) => type)).toEqual([
      'BackupVerificationFailed',
      'Alert',
    ]);
    await nothingLeft();
    return ran.json?.error;
  };

  test('where it holds other rows than its manifest says', async () => {
    const { id, snapshots } = await create(SHOP);
    await rig.chom.must('backup', 'verify', id);
    const manifest = snapshots.find(({ role }) => role === 'manifest')?.id ?? '';
    const { db } = rig.inventory;
    const [repository] = await repositories.list(db, { site: shop });
    if (!repository) throw new Error('no repository');
    const password = repositories.passwordOf(repository, rig.keyring).toString();
    const said = await ask(
      web1,
      sh`export RESTIC_PASSWORD=${password} RESTIC_REPOSITORY=${repository.url}
restic=/usr/local/lib/chom/restic
"$restic" -q dump ${manifest} /manifest.json | sed 's/\(visits",.*"rows":\)[0-9]*/\190/' >/root/manifest.json
sha256sum </root/manifest.json
"$restic" --json backup --stdin --stdin-filename manifest.json </root/manifest.json; rm /root/manifest.json`,
    );
    const [, sha256] = /^([0-9a-f]{64}) /.exec(said) ?? [];
    const [, snapshot] = /"snapshot_id":"([0-9a-f]{64})"/.exec(said) ?? [];
    if (sha256 === undefined || snapshot === undefined) throw new Error(said);
    await rig.inventory.transaction(async (trx) => {
      await trx.updateTable('snapshots').set({ id: snapshot }).where('id', '=', manifest).execute();
      await trx.updateTable('backups').set({ manifestSha256: sha256 }).where('id', '=', id).execute();
    });
    const why = `table visits has ${await visits()} rows, but the backup 90`;
    expect(await refused(id)).toMatchObject({ type: 'RepositoryDamaged', message: expect.stringContaining(why) });
    expect(await backupOf(id)).toMatchObject({
      state: 'completed',
      verifiedAt: null,
      verifyFailedAt: expect.any(String),
    });
    expect((await rig.chom.must('backup', 'show', id)).stdout).toMatch(new RegExp(`does not restore .*${why}`));
    expect((await rig.chom.must('backup', 'list', SHOP)).stdout).toMatch(
      new RegExp(`^${id} .* completed +failed `, 'm'),
    );
  });

  test('where its storage has lost a part of it', async () => {
    await ask(
      web1,
      sh`head -c 1000000 /dev/urandom >${`/srv/chom/${shop}/app/photo`} && chown ${`${shop}:`} ${`/srv/chom/${shop}/app/photo`}`,
    );
    const { id } = await create(SHOP, '--files');
    await ask(
      web1,
      sh`rm "$(find ${`/backups/${shop}/data`} -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)"`,
    );
    const error = await refused(id);
    expect(error).toMatchObject({ type: 'RepositoryDamaged', message: expect.stringContaining('no such file') });
    expect(await backupOf(id)).toMatchObject({ state: 'completed', verifyFailure: error?.message });
  });
});
