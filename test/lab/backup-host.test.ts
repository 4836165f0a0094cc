import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Lab, type LabHost, startLab } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { parseProgress, readProgress } from '../../src/host/backup-progress.js';
import type { Host } from '../../src/host/host.js';
import { sh } from '../../src/host/shell.js';
import { AWKWARD_CONTENTS, backUpAwkward } from './awkward-database.js';
import { backedUp, type BackedUp, giveRestic, isHeld, whileLocked, killJob, reaches, slowFile } from './backup-site.js';
import { swapLoop } from './hostile.js';
import { ask, ready, run } from './on-host.js';
import { reach } from './reach.js';

let lab: Lab;
let hosts: ReturnType<typeof reach>;
let machine: LabHost;
let host: Host;

beforeAll(async () => {
  lab = await startLab({ hosts: [{ name: 'web1' }] });
  machine = lab.host('web1');
  hosts = reach(lab.hosts);
  host = await hosts.for('web1');
  await ready(machine);
  await giveRestic(machine, lab.restic);
});

afterAll(async () => {
  await hosts?.close();
  await lab?.down();
});

const newSite = async (type?: 'wordpress'): Promise<BackedUp> => await backedUp(machine, host, type && { type });
/** A table whose dump comes last, and can be held. */
const LAST = 'CREATE TABLE first (id INT); INSERT INTO first VALUES (1); CREATE TABLE zlast (id INT);';

describe('the backup of a database', () => {
  it('holds all of it, and counts its rows as the database does', async () => {
    const { backup, dumped, counted, restored, contents } = await backUpAwkward(machine, await newSite());
    expect(counted).toHaveLength(15);
    expect(dumped).toEqual(counted);
    expect(restored).toEqual(counted);
    expect(contents).toMatchObject(AWKWARD_CONTENTS);
    expect(contents.tables.find((one) => one.name === 'merged')?.rows).toBe(null);
    expect(backup).toMatchObject({ already: false, partial: false, leftover: [], files: 0 });
    expect(backup.facts.database).toMatchObject({ history: true, notTransactional: 2, charset: 'utf8mb4' });
  });

  it('comes to nothing when the dump dies in the middle', async () => {
    const site = await newSite();
    await site.sql(LAST);
    const failed = await whileLocked(machine, site.site, 'LOCK TABLES zlast WRITE', async () => {
      const running = site.backUp().catch((error: unknown) => error);
      await isHeld(machine, site);
      await ask(machine, sh`pkill -KILL -f ${`^mariadb-dump .*${site.site}`}`);
      return await running;
    });
    expect(failed).toMatchObject({
      type: 'CommandFailed',
      message: `The backup of ${site.site} failed on web1: mariadb-dump was ended by signal 9`,
    });
    expect(await site.snapshots()).toEqual([]);
    expect(await site.locks()).toBe(0);
  });

  it.each([
    ['has no end', `head -n -1`, 'the dump has no end'],
    ['lacks a table', `sed '/^CREATE TABLE .first/,/;$/d'`, 'the dump lacks table first'],
    ['is empty', `head -c 0`, 'the dump has no end'],
    ['is written as nobody knows', `sed 's/^INSERT INTO/INSERT  INTO/'`, 'writes what CHOM cannot follow'],
  ])('comes to nothing when the dump ends well and %s', async (_, filter, said) => {
    const site = await newSite();
    await site.sql(LAST);
    const program = `#!/bin/sh\n/usr/bin/mariadb-dump "$@" | ${filter}\n`;
    await ask(machine, sh`printf %s ${program} >/usr/local/bin/mariadb-dump && chmod 755 /usr/local/bin/mariadb-dump`);
    const failed = await site.backUp().catch((error: unknown) => error);
    await ask(machine, sh`rm /usr/local/bin/mariadb-dump`);
    expect(failed).toMatchObject({ message: expect.stringContaining(said) });
    expect(await site.snapshots()).toEqual([]);
  });

  it('gives a locked table up after a while, and says who may hold it', async () => {
    const site = await newSite();
    await site.sql(LAST);
    await whileLocked(machine, site.site, 'LOCK TABLES zlast WRITE', async () => {
      await expect(site.backUp({ limits: { lockSeconds: 3 } })).rejects.toMatchObject({
        type: 'DatabaseLocked',
        message: expect.stringMatching(/is locked, the dump waited \d+ s .*perhaps by connection \d+ of root/),
      });
      const mine = `SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = '${site.site}'`;
      await poll('the dump is gone from the server', 30_000, async () => {
        return (await ask(machine, sh`mariadb -N -e ${mine}`)) === '1\n';
      });
    });
    expect(await site.snapshots()).toEqual([]);
    expect((await site.backUp()).snapshots).toHaveLength(3);
  });

  it('needs no lock that another holds over all tables', async () => {
    const site = await newSite();
    await site.sql(LAST);
    const lock = 'FLUSH TABLES WITH READ LOCK';
    const backup = await whileLocked(machine, site.site, lock, async () => {
      return await site.backUp({ limits: { lockSeconds: 3 } });
    });
    expect(backup.facts.database).toMatchObject({ tables: 2, rows: 1 });
  });

  it('is refused by name where a view or a table is broken', async () => {
    const site = await newSite();
    await site.sql(`${LAST} CREATE VIEW shows AS SELECT * FROM zlast; DROP TABLE zlast;`);
    await expect(site.backUp()).rejects.toMatchObject({
      type: 'DatabaseBroken',
      message: expect.stringContaining(`view ${site.site}.shows is broken`),
    });
    await site.sql(
      'DROP VIEW shows; CREATE TABLE broken (id INT) ENGINE=MyISAM; INSERT INTO broken VALUES (1); FLUSH TABLES',
    );
    await ask(machine, sh`printf garbage >${`/var/lib/mysql/${site.site}/broken.MYI`}`);
    await expect(site.backUp()).rejects.toMatchObject({
      type: 'DatabaseBroken',
      message: expect.stringMatching(/broken/),
    });
    await site.sql('DROP TABLE broken');
    await site.sql('CREATE TABLE gone (id INT); ALTER TABLE gone DISCARD TABLESPACE');
    await expect(site.backUp()).rejects.toMatchObject({
      type: 'DatabaseBroken',
      message: expect.stringMatching(/gone/),
    });
    await site.sql(`DROP TABLE gone; CREATE TABLE kept (id INT, since BIGINT UNSIGNED GENERATED ALWAYS AS ROW START,
      until BIGINT UNSIGNED GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (since, until)) WITH SYSTEM VERSIONING`);
    await expect(site.backUp()).rejects.toMatchObject({
      type: 'UnsupportedHost',
      message: expect.stringMatching(/keeps its history .* `kept`/),
    });
    expect(await site.snapshots()).toEqual([]);
    await site.sql('DROP TABLE kept');
    expect((await site.backUp()).facts.database).toMatchObject({ tables: 1 });
  });
});

describe('the backup of a site', () => {
  it('is found again by whoever asks for the same, and made once', async () => {
    const site = await newSite();
    await site.sql(LAST);
    const job = site.job();
    const first = site.read(await host.job(job));
    const output = await host.job({ ...job, attempt: 'run-1/2' });
    expect(output.already).toBe(true);
    expect(site.read(output)).toEqual(first);
    expect((await site.snapshots()).sort()).toEqual(first.snapshots.map((one) => one.id).sort());
    const second = await site.backUp();
    expect(second.newBytes).toBeLessThan(first.newBytes);
    expect(await site.snapshots()).toHaveLength(6);
    expect(await site.locks()).toBe(0);
  });

  it('is not taken for good where it cannot be read back', async () => {
    const site = await newSite();
    await site.sql(`${LAST} INSERT INTO first SELECT seq FROM seq_1_to_100000`);
    const job = site.job();
    const first = site.read(await host.job(job));
    // Some bytes of every pack that holds content.
    const damage = sh`find ${`${site.access.url}/data`} -type f -size +20k -exec sh -c 'printf xxxxxxxx | dd of="$1" bs=1 seek=5000 conv=notrunc status=none' sh {} \;`;
    await ask(machine, damage);
    const again = await host.job({ ...job, attempt: 'run-1/2' });
    expect(again.already).toBe(false);
    // The data is known to restic and not sent again: neither is the new one good.
    expect(() => site.read(again)).toThrow(expect.objectContaining({ type: 'RepositoryDamaged' }));
    expect(first.partial).toBe(false);
  });

  it('leaves no lock and no manifest when it is stopped, and is begun anew after that', async () => {
    const site = await newSite();
    await site.sql(LAST);
    await ask(machine, slowFile(site.site, 200));
    const cancel = new AbortController();
    const job = site.job();
    const running = host.job(job, { signal: cancel.signal, detach: cancel.signal });
    await reaches(machine, job, 'files');
    cancel.abort(new Error('cancelled by the operator'));
    await expect(running).rejects.toThrow('cancelled by the operator');
    expect(await site.locks()).toBe(0);
    expect(await site.snapshots()).toHaveLength(1);
    expect(parseProgress(await ask(machine, readProgress(job.operation)))).toBe(null);
    await ask(machine, sh`rm ${`/srv/chom/${site.site}/shared/slow`}`);
    expect((await site.backUp()).leftover).toEqual([]);
  });

  it('is begun anew after it was killed, takes the dead lock away, and names what was left', async () => {
    const site = await newSite();
    await site.sql(LAST);
    await ask(machine, slowFile(site.site, 200));
    const job = site.job();
    const running = host.job(job).catch((error: unknown) => error);
    await reaches(machine, job, 'files');
    await killJob(machine, job);
    expect(await running).toMatchObject({ type: 'Interrupted' });
    expect(await site.locks()).toBe(1);
    const left = await site.snapshots();
    expect(left).toHaveLength(1);
    await ask(machine, sh`rm ${`/srv/chom/${site.site}/shared/slow`}`);
    const backup = site.read(await host.job({ ...job, attempt: 'run-1/2' }));
    expect(backup.leftover).toEqual(left);
    expect(await site.locks()).toBe(0);
    expect(await site.snapshots()).toHaveLength(4);
  });

  it('waits for a lock of the living, and leaves it where it is', async () => {
    const site = await newSite();
    const check = (
      name: string,
    ) => sh`systemd-run --quiet --unit=${name} --setenv=RESTIC_PASSWORD=lab restic --no-cache -r ${site.access.url} check --read-data
n=0; until [ -n "$(ls ${`${site.access.url}/locks`})" ]; do n=$((n + 1)); [ $n -lt 2000 ] || exit 1; sleep 0.01; done
systemctl kill -s STOP ${name}; [ -n "$(ls ${`${site.access.url}/locks`})" ]`;
    const name = `check-${site.site}`;
    await ask(machine, check(name));
    await expect(site.backUp({ kind: 'files', limits: { lockSeconds: 2 } })).rejects.toMatchObject({
      type: 'RepositoryLocked',
    });
    expect(await site.locks()).toBe(1);
    await ask(
      machine,
      sh`systemctl kill -s KILL ${name}; systemctl kill -s CONT ${name} 2>/dev/null; systemctl reset-failed ${name} 2>/dev/null; true`,
    );
    expect((await site.backUp({ kind: 'files', limits: { lockSeconds: 2 } })).snapshots).toHaveLength(2);
    expect(await site.locks()).toBe(0);
  });

  it('holds whatever lies in a web root, and is partial where something cannot be read', async () => {
    const site = await newSite('wordpress');
    const app = `/srv/chom/${site.site}/app`;
    const make = sh`cd ${app} && umask 027 || exit 1
mkfifo pipe && perl -MSocket -e 'socket my $s, PF_UNIX, SOCK_STREAM, 0; bind $s, sockaddr_un("socket")' || exit 1
truncate -s 3G sparse && echo end >>sparse
echo one >one && ln one two && ln -s /etc/shadow link && ln -s nowhere dangling && chmod 000 one
printf x >"$(printf 'caf\351 \n\t"')" && printf x >'ä 🙂'
mkdir -p wp-content/cache/deep wp-content/uploads && echo cached >wp-content/cache/deep/file && echo kept >wp-content/uploads/file
mkdir tagged && printf 'Signature: 8a477f597d28d172789f06886806bc55\n' >tagged/CACHEDIR.TAG && echo cached >tagged/file`;
    await ask(machine, sh`runuser -u ${site.site} -- sh -c ${make.script}`);
    const backup = await site.backUp();
    expect(backup.partial).toBe(false);
    // one, two, sparse, two odd names, uploads/file, CACHEDIR.TAG; the pipe, for restic leaves sockets out
    expect(backup.facts.files).toMatchObject({
      files: 7,
      links: 2,
      others: 1,
      bytes: 3 * 1024 ** 3 + 4 + 8 + 2 + 5 + 44,
    });
    const id = backup.snapshots.find((one) => one.role === 'files')!.id;
    await site.restic('restore', id, '--target', `/restored/${site.site}`, '--sparse');
    const list = (root: string) =>
      ask(
        machine,
        sh`cd ${root} && find . -path ./wp-content/cache/deep -prune -o -path ./tagged/file -prune -o -type s -prune -o -type d -printf '%P %m %U\n' -o -printf '%P %y %m %U %s %n %l\n' | sort | od -c; find . -type f ! -path './wp-content/cache/*' ! -path ./tagged/file ! -name sparse -exec sha256sum {} + | sort | od -c`,
      );
    expect(await list(`/restored/${site.site}${app}`)).toBe(await list(app));
    await ask(machine, sh`rm -r /restored`);
    // What even root is not given to read.
    await ask(machine, sh`: >${`${app}/unreadable`} && mount --bind /proc/1/mem ${`${app}/unreadable`}`);
    const partial = await site.backUp({ kind: 'files' });
    await ask(machine, sh`umount ${`${app}/unreadable`}`);
    expect(partial.partial).toBe(true);
    expect(partial.facts.files?.unreadable).toMatchObject({ count: 1, items: [{ path: `${app}/unreadable` }] });
  });

  it('is told as it goes, and refused where a directory of the site is missing', async () => {
    const site = await newSite();
    await ask(machine, slowFile(site.site, 6));
    const job = site.job({ kind: 'files' });
    const running = host.job(job);
    const seen = await poll('it tells how far it is', 240_000, async () => {
      const progress = parseProgress(await ask(machine, readProgress(job.operation)));
      return progress !== null && progress.bytes > 0 && progress;
    });
    expect(seen).toMatchObject({ phase: 'files', totalBytes: 6 * 1024 ** 3 });
    expect(site.read(await running).facts).toMatchObject({ database: null, apartSeconds: null, files: { files: 1 } });
    expect(parseProgress(await ask(machine, readProgress(job.operation)))).toBe(null);
    await ask(machine, sh`rm -r ${`/srv/chom/${site.site}/shared`}`);
    await expect(site.backUp()).rejects.toMatchObject({ message: expect.stringContaining('/shared is missing') });
  });

  it('says that the disk of the server is full, also in the middle of the dump', async () => {
    const site = await newSite();
    await site.sql(LAST);
    const failed = await whileLocked(machine, site.site, 'LOCK TABLES zlast WRITE', async () => {
      const running = site.backUp().catch((error: unknown) => error);
      await isHeld(machine, site);
      await machine.fill();
      return { running };
    }).then(async ({ running }) => await running);
    await machine.unfill();
    expect(failed).toMatchObject({ type: 'DiskFull', details: [{ next: 'df -h (on web1)' }] });
    expect(await site.snapshots()).toEqual([]);
    expect((await site.backUp()).snapshots).toHaveLength(3);
    expect(await site.locks()).toBe(0);
  });

  it('is led nowhere by a site that swaps its directories for links', async () => {
    const site = await newSite();
    // Where the unit looks away from it, and where it does not.
    const victims = ['/root/victim', '/opt/victim'];
    await ask(
      machine,
      sh`for place in ${victims}; do mkdir -p -m 700 "$place" && echo 'the secret of root' >"$place/file"; done`,
    );
    const names = Array.from({ length: 12 }, (_, n) => `d${n}`);
    // The site has a file of that name too: restic lists its directory, and finds the other one behind the link.
    const own = sh`cd ${`/srv/chom/${site.site}/app`} && for name in ${names}; do mkdir "$name" && echo own >"$name/file"; done`;
    await ask(machine, sh`runuser -u ${site.site} -- sh -c ${own.script}`);
    await ask(machine, swapLoop(site.site, names, victims));
    const repository = sh`RESTIC_PASSWORD=lab restic --no-cache -r ${site.access.url}`;
    const holdsSecret = async (snapshot: string): Promise<boolean> =>
      (await ask(machine, sh`${repository} dump ${snapshot} / | grep -c 'the secret of root' || true`)) !== '0\n';
    // The swaps bite: a restic that is not kept from it takes the victim along.
    const naive = async (): Promise<boolean> => {
      const said = await run(machine, sh`${repository} --json backup ${`/srv/chom/${site.site}/app`}`);
      const id = /"snapshot_id":"([0-9a-f]{64})"/.exec(said.stdout)?.[1];
      return id !== undefined && (await holdsSecret(id));
    };
    await poll('a naive backup is led astray', 300_000, naive);
    for (let round = 0; round < 8; round += 1) {
      const backup = await site.backUp({ kind: 'files' });
      expect(await holdsSecret(backup.snapshots[0]!.id)).toBe(false);
    }
    expect((await run(machine, sh`systemctl is-active ${`swap-${site.site}`}`)).stdout).toBe('active\n');
    await ask(machine, sh`systemctl stop ${`swap-${site.site}`}; rm -r ${victims}`);
  });
});
