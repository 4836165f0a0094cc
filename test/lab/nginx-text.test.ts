import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startLab, type Lab } from '../../lab/index.js';
import { defaultFile, siteFile, type NginxSite } from '../../src/host/nginx.js';
import { askForeign, bootstrapNginx, parseForeign } from '../../src/host/nginx-bootstrap.js';
import { fpmFile } from '../../src/host/php-fpm.js';
import { sh, type Script } from '../../src/host/shell.js';
import { createUser } from '../../src/host/user.js';
import { ask, make, ready, run, snapshot, type ReadyHost } from './on-host.js';

let lab: Lab;
const hosts = new Map<string, ReadyHost>();
const SITE = 'stexttextt';
/** As long as a name may be. */
const LONG = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(59)}.org`;

beforeAll(async () => {
  lab = await startLab({ hosts: [{ name: 'web13' }, { name: 'web12', debian: 12 }] });
  for (const host of lab.hosts) {
    const web = await ready(host);
    hosts.set(host.name, web);
    await ask(
      host,
      sh`mkdir -p ${`/var/log/nginx/chom/${SITE}`} ${`/var/lib/chom/tls/${SITE}`} && cd ${`/var/lib/chom/tls/${SITE}`} &&
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=test -keyout key.pem -out fullchain.pem 2>/dev/null`,
    );
  }
});

afterAll(async () => {
  await lab?.down();
});

/** What the tool says about a file put into a copy of its tree, at the tree's real path. */
async function tried(web: ReadyHost, tree: string, path: string, text: string, test: Script): Promise<string> {
  const inside = sh`mount --bind /root/copy ${tree} && { ${test}; } 2>&1`;
  const { stdout, stderr } = await run(
    web.host,
    sh`rm -rf /root/copy && cp -a ${tree} /root/copy && mkdir -p "$(dirname /root/copy/${path})" && printf %s ${text} >/root/copy/${path}
unshare --mount sh -c ${inside.script} && echo accepted`,
  );
  return stdout + stderr;
}

describe.each(['web13', 'web12'])('the real programs on %s', (name) => {
  const web = (): ReadyHost => {
    const host = hosts.get(name);
    if (!host) throw new Error(`${name} is not ready`);
    return host;
  };
  const plain: NginxSite = { site: SITE, domain: 'example.org', aliases: [], type: 'static', certificate: false };
  const sites: Record<string, NginxSite> = {
    'static over HTTP': plain,
    'PHP over HTTP': { ...plain, type: 'php' },
    WordPress: { ...plain, type: 'wordpress', certificate: true },
    Laravel: { ...plain, type: 'laravel' },
    'static over HTTPS': { ...plain, certificate: true },
    'PHP over HTTPS': { ...plain, type: 'php', certificate: true },
    'a name of 253 characters': { ...plain, domain: LONG, certificate: true },
    '99 aliases': { ...plain, aliases: Array.from({ length: 99 }, (_, n) => `a${n}.${LONG.slice(4)}`) },
  };

  it.each(Object.keys(sites))('nginx takes a site with %s without a warning', async (which) => {
    const site = sites[which]!;
    for (const ipv6 of [true, false]) {
      const { text } = siteFile(site, { ...web().facts, ipv6 });
      expect(await tried(web(), '/etc/nginx', `chom.d/${SITE}.conf`, text, sh`nginx -t -q`)).toBe('accepted\n');
    }
  });

  it('nginx takes the catch-all servers of older versions', async () => {
    const tls = sh`mkdir -p /var/lib/chom/tls/default && cp ${`/var/lib/chom/tls/${SITE}`}/* /var/lib/chom/tls/default`;
    await ask(web().host, tls);
    const { text } = defaultFile({ ports: [80, 443] }, { version: '1.18.0', ipv6: true });
    const said = await tried(web(), '/etc/nginx', 'chom.d/000-default.conf', text, sh`nginx -t -q`);
    expect(said.split('\n').at(-2)).toBe('accepted');
  });

  it('php-fpm takes a site', async () => {
    const { host, php } = web();
    await make(host, createUser({ site: SITE, uid: 20_999 }));
    const text = fpmFile({ site: SITE, domain: 'example.org', type: 'php', version: php });
    const path = `/etc/chom/php/${SITE}/php-fpm.conf`;
    const said = await tried(
      web(),
      '/etc/chom/php',
      `${SITE}/php-fpm.conf`,
      text,
      sh`${`php-fpm${php}`} -t -y ${path}`,
    );
    expect(said).toContain('test is successful');
    expect(said).not.toMatch(/WARNING|ERROR/);
  });

  it('systemd takes the unit without a complaint', async () => {
    const said = await ask(web().host, sh`systemd-analyze verify chom-php@.service 2>&1`);
    expect(said.split('\n').filter((line) => line.includes('chom'))).toEqual([]);
  });

  it('is bootstrapped once: a second time changes nothing', async () => {
    const { host, facts } = web();
    const before = await snapshot(host);
    const foreign = parseForeign(await ask(host, askForeign()));
    expect(foreign).toEqual({ stockSite: false, defaultPorts: [], settings: [] });
    expect(await make(host, bootstrapNginx(foreign, facts))).toBe('already');
    expect(await snapshot(host)).toBe(before);
  });
});

describe('a server that serves others already', () => {
  it('keeps their default server, their settings and their sites', async () => {
    const other = await startLab({ hosts: [{ name: 'shared' }] });
    try {
      const host = other.host('shared');
      await ask(
        host,
        sh`printf 'server_names_hash_bucket_size 256;\n' >/etc/nginx/conf.d/theirs.conf
rm /etc/nginx/sites-enabled/default
printf 'server { listen 80 default_server; server_name theirs.example; return 200 theirs; }\n' >/etc/nginx/sites-enabled/theirs
systemctl reload nginx`,
      );
      const before = await ask(host, sh`cat /etc/nginx/conf.d/theirs.conf /etc/nginx/sites-enabled/theirs`);
      const foreign = parseForeign(await ask(host, askForeign()));
      expect(foreign).toEqual({ stockSite: false, defaultPorts: [80], settings: ['server_names_hash_bucket_size'] });
      await ready(host);
      expect(await ask(host, sh`cat /etc/nginx/conf.d/theirs.conf /etc/nginx/sites-enabled/theirs`)).toBe(before);
      expect(await ask(host, sh`curl -s http://127.0.0.1/`)).toBe('theirs');
    } finally {
      await other.down();
    }
  });
});
