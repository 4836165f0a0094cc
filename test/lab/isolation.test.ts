import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startLab, type Lab } from '../../lab/index.js';
import { EXIT } from '../../src/host/exit-codes.js';
import { publishSite } from '../../src/host/nginx-site.js';
import { startPhp } from '../../src/host/php-fpm.js';
import { sh, type Script } from '../../src/host/shell.js';
import { installSource } from '../../src/host/site-source.js';
import { asSite, createUser, removeUser } from '../../src/host/user.js';
import { FIRST, hostileCases, SECOND } from './hostile-cases.js';
import { ask, make, ready, run, snapshot, type ReadyHost } from './on-host.js';

let lab: Lab;
const hosts = new Map<string, ReadyHost>();

beforeAll(async () => {
  lab = await startLab({ hosts: [{ name: 'web13' }, { name: 'web12', debian: 12 }] });
  for (const host of lab.hosts) {
    const web = await ready(host);
    hosts.set(host.name, web);
    for (const site of [FIRST, SECOND]) {
      await make(host, createUser(site));
      await make(host, installSource({ ...site, source: { kind: 'placeholder' } }, { kind: 'placeholder' }));
      await make(host, startPhp({ ...site, version: web.php }));
      await make(host, publishSite({ ...site, certificate: false }, web.facts));
    }
    await ask(
      host,
      asSite(
        FIRST.site,
        sh`printf 'the secret of first' >/srv/chom/sfirstaaaa/app/secret.txt; chmod 600 /srv/chom/sfirstaaaa/app/secret.txt
printf '<?php $secret = "the secret of first";' >/srv/chom/sfirstaaaa/app/config.php`,
      ),
    );
  }
});

afterAll(async () => {
  await lab?.down();
});

describe.each(['web13', 'web12'])('on %s', (name) => {
  const web = (): ReadyHost => {
    const host = hosts.get(name);
    if (!host) throw new Error(`${name} is not ready`);
    return host;
  };

  /** What PHP of the second site prints when it runs this code. */
  async function php(code: string): Promise<string> {
    const { host } = web();
    await ask(host, asSite(SECOND.site, sh`printf %s ${`<?php ${code}`} >/srv/chom/ssecondaaa/app/try.php`));
    const path = sh`curl -s -H 'Host: second.example.org' http://127.0.0.1/try.php`;
    return await ask(host, path);
  }

  it('a site runs as its own user, in its own directories', async () => {
    expect(await php('echo posix_getpwuid(posix_geteuid())["name"];')).toBe(SECOND.site);
    expect(await php('echo ini_get("session.save_path"), sys_get_temp_dir();')).toBe(
      '/srv/chom/ssecondaaa/tmp/srv/chom/ssecondaaa/tmp',
    );
    expect(
      await php(
        'session_start(); $_SESSION["n"] = 1; session_write_close(); echo count(glob("/srv/chom/ssecondaaa/tmp/sess_*")) > 0;',
      ),
    ).toBe('1');
    expect(
      await php(
        'file_put_contents("/srv/chom/ssecondaaa/app/made.txt", "x"); echo decoct(fileperms("/srv/chom/ssecondaaa/app/made.txt") & 0777);',
      ),
    ).toBe('640');
    // What PHP made, nginx can read.
    expect(await ask(web().host, sh`curl -s -H 'Host: second.example.org' http://127.0.0.1/made.txt`)).toBe('x');
  });

  it("[SE-06] a site's PHP sees no file of another site, by PHP or by a program", async () => {
    const { host } = web();
    // Loaded into OPcache by its owner first.
    await ask(host, sh`curl -s -H 'Host: first.example.org' http://127.0.0.1/config.php`);
    expect(await php('echo @file_get_contents("/srv/chom/sfirstaaaa/app/secret.txt"), "|";')).toBe('|');
    expect(await php('@include "/srv/chom/sfirstaaaa/app/config.php"; echo $secret ?? "nothing";')).toBe('nothing');
    expect((await php('passthru("ls /srv/chom /srv 2>&1");')).includes('sfirst')).toBe(false);
    expect(
      await php('passthru("cat /srv/chom/sfirstaaaa/app/secret.txt /srv/chom/sfirstaaaa/app/config.php 2>&1");'),
    ).not.toContain('the secret');
    expect(await php('passthru("ls /var/lib/chom 2>&1");')).not.toContain('sites');
    expect(await php('passthru("cat /var/log/nginx/chom/sfirstaaaa/access.log 2>&1");')).not.toContain('GET');
    expect(await php('echo @fsockopen("unix:///run/chom-php/sfirstaaaa.sock") ? "open" : "closed";')).toBe('closed');
    expect(await php('print_r(@opcache_get_status());')).not.toContain('sfirst');
    // The same without the sandbox of the unit, as cron would run it.
    const outside = await run(
      host,
      asSite(
        SECOND.site,
        sh`ls /srv/chom; cat /srv/chom/sfirstaaaa/app/secret.txt /srv/chom/sfirstaaaa/app/config.php /var/log/nginx/chom/sfirstaaaa/access.log`,
      ),
    );
    expect(outside.stdout).toBe('');
  });

  hostileCases(web);

  it('nginx follows no link out of a site, and serves no hidden file', async () => {
    const { host } = web();
    await ask(
      host,
      asSite(
        SECOND.site,
        sh`cd /srv/chom/ssecondaaa/app; ln -sf /etc/passwd passwd.txt; ln -sf /srv/chom/sfirstaaaa/app/config.php stolen.txt
echo own >real.txt; ln -sf real.txt link.txt; echo hidden >.env; mkdir -p .git .well-known; echo x >.git/config; echo known >.well-known/security.txt`,
      ),
    );
    const get = async (path: string): Promise<string> =>
      await ask(host, sh`curl -s -w '%{http_code}' -H 'Host: second.example.org' ${`http://127.0.0.1${path}`}`);
    // Where nginx does not follow, the site's own front page answers.
    expect(await get('/passwd.txt')).not.toContain('root:');
    expect(await get('/stolen.txt')).not.toContain('the secret');
    expect(await get('/link.txt')).toBe('own\n200');
    expect(await get('/.env')).toMatch(/404$/);
    expect(await get('/.git/config')).toMatch(/404$/);
    expect(await get('/.well-known/security.txt')).toBe('known\n200');
  });

  it('challenges are answered for a site and for an unknown name', async () => {
    const { host } = web();
    await ask(host, sh`echo token >/var/lib/chom/acme/.well-known/acme-challenge/abc`);
    for (const domain of ['second.example.org', 'unknown.example.net']) {
      const path = sh`curl -s -H ${`Host: ${domain}`} http://127.0.0.1/.well-known/acme-challenge/abc`;
      expect(await ask(host, path)).toBe('token\n');
    }
  });

  it('logs are rotated, reopened and never readable for sites', async () => {
    const { host } = web();
    const logs = '/var/log/nginx/chom/ssecondaaa';
    const visit = sh`curl -s -o /dev/null -H 'Host: second.example.org' http://127.0.0.1/visit
for n in $(seq 100); do if grep -q /visit ${logs}/access.log; then break; fi; sleep 0.1; done; grep -c /visit ${logs}/access.log`;
    // nginx answers first and logs then.
    expect(Number(await ask(host, visit))).toBe(1);
    await ask(host, sh`logrotate -f /etc/logrotate.d/chom`);
    await expect
      .poll(async () =>
        (
          await run(
            host,
            sh`: >${logs}/seen; curl -s -o /dev/null -H 'Host: second.example.org' http://127.0.0.1/after; grep -q /after ${logs}/access.log; echo $?`,
          )
        ).stdout.trim(),
      )
      .toBe('0');
    expect(
      await ask(host, sh`grep -c /visit ${logs}/access.log.1; stat -c '%a %U:%G' ${logs} ${logs}/access.log`),
    ).toBe('1\n751 root:adm\n640 www-data:adm\n');
    expect(await ask(host, sh`tail -n 3 /var/log/nginx/error.log`)).not.toContain('Permission denied');
  });

  it("a reload of one site's PHP does not cut another's request, nor its own", async () => {
    const { host, php: version } = web();
    await ask(
      host,
      asSite(
        FIRST.site,
        sh`printf '<?php $end = microtime(true) + 2; while (microtime(true) < $end); echo "slow";' >/srv/chom/sfirstaaaa/app/slow.php`,
      ),
    );
    const slow = ask(host, sh`curl -s -H 'Host: first.example.org' http://127.0.0.1/slow.php`);
    await expect.poll(async () => (await run(host, sh`pgrep -u sfirstaaaa -c php`)).stdout.trim()).not.toBe('0');
    await ask(host, sh`systemctl reload chom-php@ssecondaaa chom-php@sfirstaaaa`);
    expect(await slow).toBe('slow');
    expect(await make(host, startPhp({ ...FIRST, version }))).toBe('already');
  });

  it("a site's wish that php-fpm refuses harms nobody", async () => {
    const { host, php: version } = web();
    const before = await snapshot(host);
    const { act } = startPhp({ ...FIRST, version });
    const text = act.script.toString().replaceAll('pm.max_children = 10', 'pm.max_children = none');
    const said = await host.exec(`cd /\n${text}`);
    expect(said.exit).toBe(EXIT.rejected);
    expect(said.stderr).toContain('refuses this change');
    expect(await snapshot(host)).toBe(before);
  });

  it('[FS-07/provision-site] a user, group, uid or directory that is not ours is left alone', async () => {
    const { host } = web();
    const site = { site: 'sconflicta', uid: 20_050 };
    const taken: [Script, Script, number?][] = [
      [sh`useradd -M sconflicta`, sh`userdel sconflicta`],
      [sh`groupadd sconflicta`, sh`groupdel sconflicta`],
      [sh`useradd -M -u 20050 somebody`, sh`userdel somebody`, EXIT.uidTaken],
      [sh`mkdir /srv/chom/sconflicta && echo theirs >/srv/chom/sconflicta/file`, sh`rm -r /srv/chom/sconflicta`],
    ];
    for (const [take, giveBack, exit = EXIT.conflict] of taken) {
      await ask(host, take);
      const before = await snapshot(host);
      const said = await run(host, createUser(site).act);
      expect(said.exit).toBe(exit);
      expect(said.stderr).toContain('was not made by CHOM');
      expect(await make(host, removeUser(site))).toBe('already');
      await ask(host, removeUser(site).act);
      expect(await snapshot(host)).toBe(before);
      await ask(host, giveBack);
    }
  });

  it('every process of a site ends with its user', async () => {
    const { host } = web();
    const site = { site: 'sprocessaa', uid: 20_060 };
    await make(host, createUser(site));
    await ask(
      host,
      sh`systemd-run --quiet -p User=sprocessaa -p KillMode=process sh -c 'while :; do sleep 1000 & sleep 0.1; done'`,
    );
    await expect.poll(async () => (await run(host, sh`pgrep -u sprocessaa -c sleep`)).stdout.trim()).not.toBe('0');
    await make(host, removeUser(site));
    expect((await run(host, sh`ps -eo uid= | grep -cw 20060`)).stdout.trim()).toBe('0');
  });
});
