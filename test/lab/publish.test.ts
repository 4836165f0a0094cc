import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startLab, type Lab, type LabHost } from '../../lab/index.js';
import { type Background, startBackground, stopBackground } from '../../src/host/background.js';
import { EXIT } from '../../src/host/exit-codes.js';
import { publishSite, unpublishSite } from '../../src/host/nginx-site.js';
import { startPhp, stopPhp } from '../../src/host/php-fpm.js';
import { sh } from '../../src/host/shell.js';
import { installSource } from '../../src/host/site-source.js';
import { createUser, removeUser } from '../../src/host/user.js';
import { ask, make, ready, run, snapshot, type ReadyHost } from './on-host.js';

const HOSTS = ['web13', 'web12'] as const;
let lab: Lab;
const hosts = new Map<string, ReadyHost>();
let made = 0;

beforeAll(async () => {
  lab = await startLab({ hosts: [{ name: 'web13' }, { name: 'web12', debian: 12 }] });
  await Promise.all(lab.hosts.map(async (host) => hosts.set(host.name, await ready(host))));
}, 600_000);

afterAll(async () => {
  await lab?.down();
});

function on(name: string): ReadyHost {
  const host = hosts.get(name);
  if (!host) throw new Error(`${name} is not ready`);
  return host;
}

/** A site that nobody else has. */
function newSite(type: 'static' | 'php' = 'static') {
  made += 1;
  const id = Array.from({ length: 9 }, () => 'abcdefghijklmnopqrstuvwxyz234567'[randomInt(32)]).join('');
  const site = `s${id}`;
  return { site, uid: 20_000 + made, domain: `${site}.example.org`, aliases: [`www.${site}.example.org`], type };
}
type Site = ReturnType<typeof newSite>;

async function create({ host, facts, php }: ReadyHost, site: Site): Promise<void> {
  const placeholder = { kind: 'placeholder' } as const;
  await make(host, createUser(site));
  await make(host, installSource({ ...site, source: placeholder }, placeholder));
  if (site.type === 'php') await make(host, startPhp({ ...site, version: php }));
  await make(host, publishSite({ ...site, certificate: false }, facts));
}

async function remove({ host, php }: ReadyHost, site: Site): Promise<void> {
  await make(host, unpublishSite(site));
  if (site.type === 'php') await make(host, stopPhp({ ...site, version: php }));
  await make(host, removeUser(site));
}

async function get(host: LabHost, name: string, path = '/'): Promise<{ status: string; body: string }> {
  const said = await ask(
    host,
    sh`curl -s -w '\n%{http_code}' -H ${`Host: ${name}`} ${`http://127.0.0.1${path}`} || true`,
  );
  const lines = said.split('\n');
  return { status: lines.at(-1) ?? '', body: lines.slice(0, -1).join('\n') };
}

describe.each(HOSTS)('on %s', (name) => {
  it("runs a site's own jobs as the site, where they see no other, and takes half of them back too", async () => {
    const { host } = on(name);
    const before = await snapshot(host);
    const [site, other] = [newSite(), newSite()];
    for (const each of [site, other]) await make(host, createUser(each));
    const look = 'id -un >seen; ls /srv/chom >>seen; echo "$HOME %i" >>seen; ls /var/lib/chom >>seen 2>&1; true';
    const all: Background[] = [
      {
        name: 'cron',
        description: 'A job',
        command: ['/bin/sh', '-c', look],
        every: { calendar: '*:0/5', spread: '4min' },
      },
      { name: 'queue', description: 'A worker', command: ['/bin/sh', '-c', 'id -un >worker; exec sleep infinity'] },
    ];
    expect(await make(host, startBackground(site.site, all))).toBe('made');
    expect(await make(host, startBackground(site.site, all))).toBe('already');
    const [timer, job, worker] = ['cron@.timer', 'cron@.service', 'queue@.service'].map(
      (unit) => `chom-${unit.replace('@', `@${site.site}`)}`,
    );
    expect(await ask(host, sh`systemd-analyze verify ${[timer!, job!, worker!]} 2>&1 | grep chom- || true`)).toBe('');
    await ask(host, sh`systemctl start ${job!}`);
    const app = `/srv/chom/${site.site}/app`;
    const seen = (await ask(host, sh`cat ${`${app}/seen`}`)).split('\n');
    expect(seen.slice(0, 3)).toEqual([site.site, site.site, `/srv/chom/${site.site}/tmp %i`]);
    expect(seen[3]).toContain('Permission denied');
    expect(await ask(host, sh`cat ${`${app}/worker`}`)).toBe(`${site.site}\n`);
    // As a start leaves it that dies on its way.
    await ask(host, sh`systemctl -q disable ${worker!} && rm ${`/etc/systemd/system/${timer}`}`);
    expect(await make(host, stopBackground(site.site))).toBe('made');
    expect(await make(host, stopBackground(site.site))).toBe('already');
    for (const each of [site, other]) await make(host, removeUser(each));
    expect(await snapshot(host)).toBe(before);
  });

  it.each(['static', 'php'] as const)('serves a %s site, and leaves nothing of it behind', async (type) => {
    const web = on(name);
    const before = await snapshot(web.host);
    const site = newSite(type);
    await create(web, site);
    const page = await get(web.host, site.domain);
    expect(page.status).toBe('200');
    expect(page.body).toContain('This site is ready for its files');
    expect(page.body).not.toContain('<?');
    expect((await get(web.host, `www.${site.domain}`)).status).toBe('200');
    const unknown = await get(web.host, 'nobody.example.net');
    expect(unknown.status).toBe('000');
    const during = await snapshot(web.host);
    await create(web, site);
    expect(await snapshot(web.host)).toBe(during);
    await remove(web, site);
    expect(await snapshot(web.host)).toBe(before);
    await remove(web, site);
    expect(await snapshot(web.host)).toBe(before);
  });

  it("names another site's file that was broken by hand, and harms nobody", async () => {
    const web = on(name);
    const neighbour = newSite();
    await create(web, neighbour);
    const file = `/etc/nginx/chom.d/${neighbour.site}.conf`;
    await ask(web.host, sh`cp ${file} /root/kept && echo 'no such directive;' >>${file}`);
    const before = await snapshot(web.host);
    const site = newSite();
    const { act } = publishSite({ ...site, certificate: false }, web.facts);
    const said = await run(web.host, act);
    expect(said.exit).toBe(EXIT.broken);
    expect(said.stderr.trimEnd().split('\n').at(-1)).toMatch(
      new RegExp(`^the configuration of nginx was broken before this change: .*"no" in ${file}:[0-9]+$`),
    );
    expect((await get(web.host, neighbour.domain)).status).toBe('200');
    await ask(web.host, sh`rm -r ${`/var/log/nginx/chom/${site.site}`}`);
    expect(await snapshot(web.host)).toBe(before);
    await ask(web.host, sh`mv /root/kept ${file}`);
    await remove(web, neighbour);
  });

  it('refuses a file that nginx refuses, and never lets a start of nginx see it', async () => {
    const web = on(name);
    const neighbour = newSite();
    await create(web, neighbour);
    const before = await snapshot(web.host);
    const site = newSite();
    // Without its certificate the second phase is a fatal error.
    const { act } = publishSite({ ...site, certificate: true }, web.facts);
    const said = await run(web.host, act);
    expect(said.exit).toBe(EXIT.rejected);
    expect(said.stderr).toContain(`nginx refuses this change: nginx: [emerg] cannot load certificate`);
    await ask(web.host, sh`rm -r ${`/var/log/nginx/chom/${site.site}`}; nginx -t -q && systemctl restart nginx`);
    expect(await snapshot(web.host)).toBe(before);
    expect((await get(web.host, neighbour.domain)).status).toBe('200');
    await remove(web, neighbour);
  });

  it('[FS-07/provision-site] refuses a name that a foreign site has, and leaves that one serving', async () => {
    const web = on(name);
    const site = newSite();
    const file = `/etc/nginx/sites-enabled/foreign-${site.site}`;
    await ask(
      web.host,
      sh`printf 'server {\n listen 80;\n server_name %s;\n return 200 foreign;\n}\n' ${site.domain} >${file}
systemctl reload nginx`,
    );
    await expect.poll(async () => (await get(web.host, site.domain)).body).toBe('foreign');
    const said = await run(web.host, publishSite({ ...site, certificate: false }, web.facts).act);
    expect(said.exit).toBe(EXIT.conflict);
    expect(said.stderr).toContain(`conflicting server name "${site.domain}"`);
    expect((await get(web.host, site.domain)).body).toBe('foreign');
    await make(web.host, unpublishSite(site));
    await ask(web.host, sh`rm ${file}; systemctl reload nginx`);
  });

  it('takes back what another publication left when it died in the middle', async () => {
    const web = on(name);
    const dead = newSite();
    const { act } = publishSite({ ...dead, certificate: false }, web.facts);
    // As a crash right after the rename leaves it: live, never seen to work, with what was before in `pending`.
    const killed = act.script.toString().replace(/^if ! try >/m, () => 'trap - EXIT; kill -KILL $$\nif ! try >');
    expect((await web.host.exec(killed)).exit).not.toBe(0);
    const file = `/etc/nginx/chom.d/${dead.site}.conf`;
    expect((await run(web.host, sh`[ -e ${file} ] && [ -d /var/lib/chom/previous/nginx/pending ]`)).exit).toBe(0);
    const site = newSite();
    await create(web, site);
    expect((await run(web.host, sh`[ ! -e ${file} ] && [ ! -e /var/lib/chom/previous/nginx/pending ]`)).exit).toBe(0);
    expect((await get(web.host, site.domain)).status).toBe('200');
    await make(web.host, publishSite({ ...dead, certificate: false }, web.facts));
    await make(web.host, unpublishSite(dead));
    await remove(web, site);
  });

  it('goes back when the change is not seen to work', async () => {
    const web = on(name);
    const site = newSite();
    await create(web, site);
    const before = await snapshot(web.host);
    const { act } = publishSite({ ...site, aliases: [], certificate: false }, web.facts);
    const script = act.script
      .toString()
      .replace(/^served\(\) .*$/m, 'served() { false; }')
      .replaceAll('20 seconds', '1 seconds');
    const said = await web.host.exec(script);
    expect(said.exit).toBe(EXIT.notServed);
    expect(await snapshot(web.host)).toBe(before);
    expect((await get(web.host, `www.${site.domain}`)).status).toBe('200');
    await remove(web, site);
  });

  it('publishes many sites at once, one after the other', async () => {
    const web = on(name);
    const sites = Array.from({ length: 6 }, () => newSite());
    await Promise.all(sites.map((site) => create(web, site)));
    for (const site of sites) expect((await get(web.host, site.domain)).status).toBe('200');
    await Promise.all(sites.map((site) => remove(web, site)));
    for (const site of sites) expect((await get(web.host, site.domain)).status).toBe('000');
  });
});
