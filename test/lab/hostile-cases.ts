import { expect, it } from 'vitest';
import { startBackground, stopBackground } from '../../src/host/background.js';
import { discardPair, installPair, makeRequest } from '../../src/host/certificate.js';
import { createDatabase, dropDatabase } from '../../src/host/database.js';
import { laravelBackground, migrateLaravel, prepareLaravel } from '../../src/host/laravel.js';
import { publishSite, unpublishSite } from '../../src/host/nginx-site.js';
import { startPhp, stopPhp } from '../../src/host/php-fpm.js';
import { sh } from '../../src/host/shell.js';
import { examineSite } from '../../src/host/site-examination.js';
import { forgetSource, installSource } from '../../src/host/site-source.js';
import { createUser, removeUser } from '../../src/host/user.js';
import { forgetApplication, installWordpress } from '../../src/host/wordpress.js';
import { APPLICATIONS, hostile, SECRETS, swapLoop, WAYS_OUT } from './hostile.js';
import { ask, make, preparations, run, type ReadyHost } from './on-host.js';

export const FIRST = {
  ...{ site: 'sfirstaaaa', uid: 20_001, domain: 'first.example.org', aliases: [], type: 'php' as const },
};
export const SECOND = {
  ...{ site: 'ssecondaaa', uid: 20_002, domain: 'second.example.org', aliases: [], type: 'php' as const },
};

/** What the code of the second site, and of one that attacks while root works on it, gets at: nothing. */
export function hostileCases(web: () => ReadyHost): void {
  it("[SE-06] a site's programs find no process, no secret, no place to write and no way out beside their own", async () => {
    const { host } = web();
    await ask(host, sh`umask 077; echo 'the secret of root' >/root/secret.txt`);
    const [own, neighbour] = [hostile(host, SECOND.site, SECOND.domain), hostile(host, FIRST.site, FIRST.domain)];
    const owners = await own.inPhp(`stat -c %U /proc/[0-9]* | sort -u`);
    expect(owners).toBe(`${SECOND.site}\n`);
    for (const secret of SECRETS) {
      // Whatever of them is there, root can read it: it is not merely missing.
      if ((await run(host, sh`[ -e ${secret} ]`)).exit !== 0) continue;
      const read = `if [ -d ${secret} ]; then ls -A ${secret}/; else head -c 100 ${secret}; fi && echo got it`;
      expect(await own.inPhp(read), secret).not.toContain('got it');
      expect((await own.asUser(read)).stdout, secret).not.toContain('got it');
    }
    for (const way of WAYS_OUT) {
      expect(await own.inPhp(`${way} && echo done it`), way).not.toContain('done it');
    }
    // What any user may ask systemd for.
    expect(await own.inPhp(`systemctl show '*'; ls -R /run/systemd/transient /run/chom`)).not.toContain('the secret');

    const shared = ['/dev/mqueue', '/dev/shm', '/tmp', '/var/tmp'];
    const mine = `/srv/chom/${SECOND.site}`;
    const writable = await own.inPhp(`find / ${mine} -type d -writable ! -path '/proc/*' 2>/dev/null`);
    expect(writable.split('\n').filter(Boolean).sort()).toEqual(shared);
    // They have the names of places that all share, and are each site's own.
    expect(await neighbour.inPhp(`for place in ${shared.join(' ')}; do : >$place/of-first && echo made; done`)).toBe(
      'made\n'.repeat(shared.length),
    );
    expect(await own.inPhp(`find ${shared.join(' ')} -name of-first`)).toBe('');
    expect(await ask(host, sh`find / /dev /run /tmp -xdev -name of-first -not -path '*/systemd-private-*'`)).toBe('');
    // No program of a site can become a member of nginx's group, which reads all sites.
    const sticky = `cp /bin/sh ${mine}/app/sh && chmod 6755 ${mine}/app/sh; find ${mine}/app -type f -perm /2000`;
    expect(await own.inPhp(sticky)).not.toMatch(/^\/srv/m);
    expect((await own.asUser(sticky)).stdout).toBe('');
  });

  it("[SE-06] a site's programs log in to no database but the site's own", async () => {
    const { host } = web();
    await ask(host, sh`systemctl -q is-active mariadb || systemctl start mariadb`);
    for (const { site } of [FIRST, SECOND]) {
      await make(host, createDatabase(site));
      const filled = `CREATE TABLE ${site}.t (v text); INSERT INTO ${site}.t VALUES ('row of ${site}')`;
      await ask(host, sh`mariadb -e ${filled}`);
    }
    const { inPhp, asUser } = hostile(host, SECOND.site, SECOND.domain);
    const own = `mariadb ${SECOND.site} -Ne 'SELECT v FROM t'`;
    expect(await inPhp(own)).toBe(`row of ${SECOND.site}\n`);
    for (const words of [
      `${FIRST.site} -Ne 'SELECT v FROM t'`,
      `-Ne 'SELECT v FROM ${FIRST.site}.t'`,
      `-u ${FIRST.site} -Ne 'SELECT v FROM ${FIRST.site}.t'`,
      `-u ${FIRST.site} -h 127.0.0.1 -Ne 'SELECT v FROM ${FIRST.site}.t'`,
      `-u root -Ne 'SELECT v FROM ${FIRST.site}.t'`,
      `-Ne 'SELECT LOAD_FILE("/srv/chom/${FIRST.site}/app/config.php")'`,
      `-Ne 'SHOW DATABASES'`,
    ]) {
      expect(await inPhp(`mariadb ${words}`), words).not.toMatch(/row of sfirst|the secret|^sfirst/m);
      expect((await asUser(`mariadb ${words}`)).stdout, words).not.toMatch(/row of sfirst|the secret|^sfirst/m);
    }
    for (const { site } of [FIRST, SECOND]) await make(host, dropDatabase(site));
  });

  it('root changes nothing outside of a site whose code swaps links under its hands', async () => {
    const { host, php: version, facts } = web();
    const attacker = { ...SECOND, site: 'sattackaaa', uid: 20_070, domain: 'attack.example.org' };
    const bystander = { ...SECOND, site: 'sbystandaa', uid: 20_071, domain: 'bystander.example.org' };
    const attacked = { ...attacker, tls: false, version };
    const pair = { site: attacker.site, candidate: 'one' };
    const app = `/srv/chom/${attacker.site}/app`;
    const victims = ['/root/victim', '/srv/chom/sfirstaaaa/app', '/etc/passwd', '/root/victim/file'];
    await ask(
      host,
      sh`umask 077; mkdir /root/victim; echo 'the secret of root' >/root/victim/file; tar -czf /var/lib/chom/staging/sattackaaa.tar -C /etc nginx`,
    );
    const archive = '/var/lib/chom/staging/sattackaaa.tar';
    const sha256 = (await ask(host, sh`sha256sum ${archive}`)).slice(0, 64);
    const source = { kind: 'upload' as const, sha256, bytes: 1 };
    const untouched = async () =>
      await ask(
        host,
        sh`find /root/victim /srv/chom/sfirstaaaa -printf '%p %m %u:%g %l %T@\n' | sort; cat /root/victim/file; stat -c '%a %U' /etc/passwd; find /srv/chom/sfirstaaaa/app -type f -exec sha256sum {} +`,
      );
    await make(host, createUser(attacker));
    const before = await untouched();
    const names = [
      '.chom-install',
      'index.php',
      'index.html',
      'nginx',
      'known_hosts',
      '.config',
      'sess_x',
      '.env',
      '.chom-env',
      'storage',
      'wp-config.php',
      '.chom-config',
      'bootstrap',
    ];
    await ask(host, swapLoop(attacker.site, names, victims));
    const acts: [string, () => Promise<unknown>][] = [
      ['its user', async () => await run(host, createUser(attacker).act)],
      [
        'its archive',
        async () => await run(host, installSource({ ...attacker, source }, { kind: 'upload', sha256, archive }).act),
      ],
      [
        'its page',
        async () =>
          await run(host, installSource({ ...attacker, source: { kind: 'placeholder' } }, { kind: 'placeholder' }).act),
      ],
      [
        'its application',
        async () => {
          await hostile(host, attacker.site, attacker.domain).asUser(`cd ${app} && ${APPLICATIONS}`);
          await run(host, prepareLaravel(attacked).act);
        },
      ],
      ['its database', async () => await ask(host, createDatabase(attacker.site).act)],
      // Its own code is root's to start, and may do as it likes meanwhile.
      ['its migrations', async () => await ask(host, migrateLaravel(attacked).act)],
      [
        'its WordPress',
        async () => {
          const wordpress = { ...attacked, title: 'A', adminUser: 'anna', adminEmail: 'anna@example.org' };
          const { act } = installWordpress(wordpress);
          const installing = sh`export CREDENTIALS_DIRECTORY=/run/chom-credentials
install -d -m 700 "$CREDENTIALS_DIRECTORY"; echo password >"$CREDENTIALS_DIRECTORY"/admin-password; ${act}`;
          // Where its configuration is to lie is a directory, or a link, about as often as not.
          for (let tries = 1; (await run(host, installing)).exit !== 0 && tries < 5; tries += 1);
        },
      ],
      ['its jobs', async () => await ask(host, startBackground(attacker.site, laravelBackground(attacked)).act)],
      ['its examination', async () => await ask(host, examineSite(attacker))],
      ['the end of its jobs', async () => await ask(host, stopBackground(attacker.site).act)],
      ['the end of its application', async () => await ask(host, forgetApplication(attacker.site).act)],
      ['the end of its database', async () => await ask(host, dropDatabase(attacker.site).act)],
      ['its PHP', async () => await run(host, startPhp({ ...attacker, version }).act)],
      ['its publication', async () => await run(host, publishSite({ ...attacker, certificate: false }, facts).act)],
      [
        'its certificate',
        async () => {
          await ask(host, makeRequest(pair, [attacker.domain]).act);
          const signed = sh`cd /var/lib/chom/tls/sattackaaa/next/one && openssl req -x509 -key key.pem -subj / -days 9`;
          await ask(host, installPair(pair, await ask(host, signed)).act);
          await ask(host, publishSite({ ...attacker, certificate: true }, facts).act);
        },
      ],
      [
        'another enrolment',
        async () => {
          for (const { act } of await preparations(host, facts)) await ask(host, act);
        },
      ],
      ['its logs', async () => await run(host, sh`logrotate -f /etc/logrotate.d/chom`)],
      ['another site', async () => await make(host, createUser(bystander))],
      ['the end of another', async () => await make(host, removeUser(bystander))],
      ['its withdrawal', async () => await run(host, unpublishSite(attacker).act)],
      ['the end of its certificate', async () => await ask(host, discardPair(pair))],
      ['the end of its PHP', async () => await run(host, stopPhp({ ...attacker, version }).act)],
      ['its files', async () => await run(host, forgetSource(attacker, archive).act)],
    ];
    // The swaps bite: root that goes by a path below the site's directories is led to the victim.
    const naive = sh`for n in $(seq 2000); do cat /srv/chom/sattackaaa/app/nginx/file; done 2>/dev/null | sort -u`;
    expect((await run(host, naive)).stdout).toBe('the secret of root\n');
    for (const [what, act] of acts) {
      await act();
      expect((await run(host, sh`systemctl is-active swap-sattackaaa`)).stdout, what).toBe('active\n');
      expect(await untouched(), what).toBe(before);
      // Neither a file of root's below it, nor what only root can read.
      const strange = sh`cd /srv/chom/sattackaaa && find app shared tmp ! -user sattackaaa; grep -rsl 'the secret' app shared tmp`;
      expect((await run(host, strange)).stdout, what).toBe('');
    }
    await make(host, removeUser(attacker));
    expect(await untouched()).toBe(before);
    expect(await ask(host, sh`find / /dev /run /tmp -xdev -uid 20070; rm -r /root/victim`)).toBe('');
    expect((await run(host, sh`systemctl is-active swap-sattackaaa`)).stdout).not.toBe('active\n');
  });
}
