import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { serveWordpress, type WordpressServer } from '../../lab/wordpress.js';
import * as certificates from '../../src/inventory/certificates.js';
import * as operations from '../../src/inventory/operations.js';
import * as renewals from '../../src/inventory/renewals.js';
import * as places from '../../src/inventory/places.js';
import * as sites from '../../src/inventory/sites.js';
import { startRig, type Rig } from './rig.js';
import { eventsOf, killAll, operationOf } from './storm.js';

let rig: Rig;
let web1: LabHost;
let wordpress: WordpressServer;
beforeAll(async () => {
  wordpress = await serveWordpress();
  const { url: CHOM_WORDPRESS_URL, sha256: CHOM_WORDPRESS_SHA256 } = wordpress;
  const environment = { CHOM_WORDPRESS_URL, CHOM_WORDPRESS_SHA256 };
  rig = await startRig({ hosts: [{ name: 'web1' }], acme: true, environment });
  web1 = rig.lab.host('web1');
  await rig.startWorker();
  // Nobody sends mail here: without a relay each site would say so.
  await rig.enrol(web1, '--smtp-relay', '127.0.0.1');
});
afterAll(async () => {
  await rig?.down();
  await wordpress?.close();
});

/** All that a site is on its server, with its own names taken out, so that two sites can be compared. */
async function siteOf(domain: string): Promise<string> {
  const { id } = await sites.byDomain(rig.inventory.db, domain);
  const { exit, stdout, stderr } = await web1.exec(`
    # WordPress makes the month's directory for uploads when its cron first runs, whenever that is.
    find -H /srv/chom/${id} /etc/chom/php/${id} /var/lib/chom/tls/${id} /etc/nginx/chom.d/${id}.conf /var/log/nginx/chom/${id} \\
      /etc/systemd/system/chom-*@${id}.* -path '*/wp-content/uploads' -prune -o -printf '%p %y %m %u:%g\\n' 2>/dev/null | sort
    cat /etc/nginx/chom.d/${id}.conf
    cat /etc/chom/php/${id}/* /etc/systemd/system/chom-*@${id}.* 2>/dev/null
    getent passwd ${id}; getent group ${id}
    systemctl list-units --all --no-legend --plain 'chom-*@${id}.*' | awk '{ print $1, $2, $3 }' | grep -v 'cron.*service\\|scheduler.*service'
    systemctl list-unit-files --no-legend --plain 'chom-*@${id}.*'
    find /var/lib/chom/acme /var/lib/chom/staging /var/lib/chom/tmp /run/chom -mindepth 1 -name '*${id}*'
    ls /var/lib/chom/sites | grep ${id}
    systemctl list-units --all --no-legend --plain 'chom-*.service' | grep -c -v @
    mariadb -N -e "SELECT 'grant', user, host, plugin, max_user_connections FROM mysql.user WHERE user = '${id}'"
    mariadb -N -e "SELECT * FROM mysql.db WHERE user = '${id}'"
    for table in $(mariadb -N -e "SELECT table_name FROM information_schema.tables WHERE table_schema = '${id}' ORDER BY 1"); do
      # What WordPress notes by and by: its options, and who is logged in.
      case $table in *_options | *_usermeta | done | visits) echo "$table" ;; *) mariadb -N -e "SELECT '$table', COUNT(*) FROM ${id}.$table" ;; esac
    done
    sed "s/^\\(APP_KEY=base64:\\).*/\\1/" /srv/chom/${id}/app/.env 2>/dev/null
    sed "s/^\\(define('[A-Z_]*\\(KEY\\|SALT\\)', '\\).*/\\1/" /srv/chom/${id}/app/wp-config.php 2>/dev/null
    true`);
  if (exit !== 0) throw new Error(stderr);
  // Hashes and numbers that two sites cannot share: of the configuration's text, of the key pair, of the user.
  const version = /chom-version|return 200/;
  return stdout
    .replaceAll(id, '<site>')
    .replaceAll(domain, '<domain>')
    .replaceAll(/\/pairs\/[0-9a-f]{16}/g, '/pairs/<pair>')
    .replaceAll(/\b2\d{4}\b/g, '<uid>')
    .split('\n')
    .filter((line) => !version.test(line))
    .join('\n');
}

const TYPES = {
  static: [],
  php: ['--database'],
  wordpress: ['--admin-email', 'admin@lab.test'],
  laravel: ['--from', fileURLToPath(new URL('../../lab/laravel', import.meta.url))],
} as const;

async function create(domain: string, type: keyof typeof TYPES = 'php'): Promise<string> {
  await rig.lab.acme.setAddress(domain, { a: [web1.address] });
  const words = ['site', 'create', domain, '--server', 'web1', '--type', type, ...TYPES[type]];
  return operationOf(await rig.chom(...words, '--no-tls', '--detach', '--json'));
}

async function created(domain: string): Promise<void> {
  await rig.chom.must('op', 'watch', await create(domain));
}

/** What WordPress answers to the login that whoever made it is shown. */
async function login(operation: string, domain: string): Promise<string> {
  const { json } = await rig.chom.must('op', 'watch', operation, '--json');
  const post = `curl -s -o /dev/null -w '%{http_code} %{redirect_url}' -H 'Host: ${domain}'`;
  return (
    await web1.exec(`${post} -d 'log=${json?.admin?.user}&pwd=${json?.admin?.password}' http://127.0.0.1/wp-login.php`)
  ).stdout;
}

/** Sites wait for their certificates: one for each round, which hardly ever takes more than two. */
const READY = 4;

// Side by side, for what takes the time is that Temporal notices each death.
test('[CH-01/provision-site] [CH-01/issue-certificate] each ends as an uninterrupted run would, with the worker killed after every step', async () => {
  const { db } = rig.inventory;
  const types = Object.keys(TYPES) as (keyof typeof TYPES)[];
  const calm = {} as Record<keyof typeof TYPES, string>;
  for (const type of types) calm[type] = await create(`${type}.lab.test`, type);
  const untouched = new Map<string, string>();
  for (const type of types) await rig.chom.must('op', 'watch', calm[type]);
  for (const type of types) untouched.set(type, await siteOf(`${type}.lab.test`));

  await created('tls0.lab.test');
  const issued = operationOf(await rig.chom('certificate', 'issue', 'tls0.lab.test', '--json'));
  for (let round = 1; round <= READY; round += 1) await created(`tls${round}.lab.test`);
  const secured = await siteOf('tls0.lab.test');
  const [first] = await certificates.list(db, { site: (await sites.byDomain(db, 'tls0.lab.test')).id });

  const made = await killAll(
    rig,
    // Those with most steps come first, for a server takes four at a time.
    { wordpress: calm.wordpress, laravel: calm.laravel, issued, static: calm.static, php: calm.php, renewed: issued },
    async (name, round) => {
      if (name !== 'issued' && name !== 'renewed') return await create(`${name}${round}.lab.test`, name);
      const words = name === 'issued' ? ['issue', `tls${round}.lab.test`] : ['renew', 'tls0.lab.test'];
      return operationOf(await rig.chom('certificate', ...words, '--detach', '--json'));
    },
    // Every step of a static and of a PHP site is one of a WordPress's too, and those of a renewal are a first certificate's.
    ['static', 'php', 'renewed'],
  );
  const isCertificate = (name: string) => name === 'issued' || name === 'renewed';
  for (const { name, operation } of made) {
    expect(await operations.byId(db, operation)).toMatchObject({ outcome: 'succeeded', warnings: [], committed: true });
    expect(await eventsOf(rig, operation)).toEqual([isCertificate(name) ? 'CertificateIssued' : 'SiteProvisioned']);
    expect(await places.find(db, operation)).toBeNull();
    await rig.replayed(operation);
  }
  for (const { name, round } of made.filter((one) => !isCertificate(one.name))) {
    const domain = `${name}${round}.lab.test`;
    expect(await siteOf(domain)).toBe(untouched.get(name));
    expect(await sites.byDomain(db, domain)).toMatchObject({ status: 'active' });
    expect((await rig.fetch(domain, { address: web1.address, https: false })).status).toBe(200);
  }
  for (const { round, operation } of made.filter(({ name }) => name === 'wordpress')) {
    const domain = `wordpress${round}.lab.test`;
    expect(await login(operation, domain)).toBe(`302 http://${domain}/wp-admin/`);
  }
  for (const { name, round } of made.filter((one) => isCertificate(one.name))) {
    const domain = `tls${name === 'issued' ? round : 0}.lab.test`;
    // Beside the new pair of a renewal lies the one before.
    expect(name === 'renewed' || (await siteOf(domain)) === secured).toBe(true);
    const visit = await rig.fetch(domain, { address: web1.address });
    expect(visit.status).toBe(200);
    // Ordered once: what is served is the only certificate there is.
    const all = await certificates.list(db, { site: (await sites.byDomain(db, domain)).id });
    const known = all.filter(({ id }) => id !== first?.id || name === 'issued');
    expect(known).toMatchObject([{ state: 'installed' }]);
    expect(await renewals.list(db, { site: known[0]?.site ?? '' })).toMatchObject([
      { certificate: known[0]?.id, failures: 0 },
    ]);
    expect(visit.certificate?.fingerprint256.replaceAll(':', '').toLowerCase()).toBe(known[0]?.fingerprint);
  }
}, 1_200_000);
