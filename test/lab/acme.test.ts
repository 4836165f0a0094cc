import { createHash, randomInt, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { LabAcme } from '../../lab/acme.js';
import { type Lab, startLab } from '../../lab/index.js';
import { certificateActivities } from '../../src/activities/certificate.js';
import { servedCertificate } from '../../src/activities/served-certificate.js';
import { submit } from '../../src/client/submit.js';
import type { Config } from '../../src/config.js';
import { createHosts, type Hosts } from '../../src/host/pool.js';
import { publishSite } from '../../src/host/nginx-site.js';
import { sh } from '../../src/host/shell.js';
import { installSource } from '../../src/host/site-source.js';
import { createUser } from '../../src/host/user.js';
import * as certificates from '../../src/inventory/certificates.js';
import * as credentials from '../../src/inventory/credentials.js';
import * as events from '../../src/inventory/events.js';
import { serverLogin } from '../../src/inventory/logins.js';
import * as operations from '../../src/inventory/operations.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import type { CertificatePlan } from '../../src/workflows/plans.js';
import { sitePlan } from '../inventory/records.js';
import { startEnvironment, type WorkflowEnvironment } from '../workflows/environment.js';
import { timersOf } from '../workflows/timers.js';
import { NEW_ORDER, startAcmeProxy } from './acme-proxy.js';
import { type BindingAuthority, startBindingAuthority } from './binding-authority.js';
import { ask, make, ready, type ReadyHost } from './on-host.js';

let lab: Lab;
const NAMES = ['web13', 'web12'] as const;
const webs = new Map<string, ReadyHost>();
let chom: WorkflowEnvironment;
let hosts: Hosts;

beforeAll(async () => {
  // One after the other: a server that starts while hosts boot may be given up.
  lab = await startLab({ hosts: [{ name: 'web13' }, { name: 'web12', debian: 12 }], acme: true });
  chom = await startEnvironment(inject('workflowBundle'));
  const { inventory, keyring } = chom;
  hosts = createHosts({ resolve: async (id) => await serverLogin(inventory.db, keyring, id), log: chom.deps.log });
  await Promise.all(NAMES.map(async (name) => webs.set(name, await ready(lab.host(name)))));
  for (const id of NAMES) {
    const { address, sshPort: port, user, hostKey, privateKey } = lab.host(id);
    const secret = Buffer.from(privateKey);
    await inventory.transaction(async (trx) => {
      await servers.add(trx, { id, tenant: 'default', name: id, address, port, user });
      await servers.pinHostKey(trx, id, { hostKey, fingerprint: hostKey });
      const key = { id: `key-${id}`, server: id, kind: 'server-key', public: null, secret, state: 'current' } as const;
      await credentials.put(trx, keyring, key);
      await servers.setStatus(trx, id, 'active');
    });
  }
}, 600_000);

afterAll(async () => {
  await hosts?.close();
  await chom?.close();
  await lab?.down();
}, 120_000);

interface LiveSite {
  plan: CertificatePlan;
  domain: string;
  web: ReadyHost;
}

/** A site that is served over HTTP, under a name that leads to its server. */
async function liveSite(wanted: { on?: string; domain?: string; aliases?: string[] } = {}): Promise<LiveSite> {
  const { on = 'web13', aliases = [] } = wanted;
  const web = webs.get(on);
  if (!web) throw new Error(`${on} is not ready`);
  const site = `s${Array.from({ length: 9 }, () => 'abcdefghijklmnopqrstuvwxyz234567'[randomInt(32)]).join('')}`;
  const domain = wanted.domain ?? `${site}.example.org`;
  const over = { server: on, serverName: on, aliases: aliases.map((alias) => `${alias}.${domain}`) };
  const plan = sitePlan(site, domain, over);
  await lab.acme.setAddress(domain, { a: [web.host.address] });
  const { uid } = await chom.inventory.transaction(async (trx) => {
    const reserved = await sites.reserve(trx, plan, `provision-${site}`);
    await sites.activate(trx, site);
    return reserved;
  });
  const placeholder = { kind: 'placeholder' } as const;
  await make(web.host, createUser({ site, uid }));
  await make(web.host, installSource({ ...plan, source: placeholder }, placeholder));
  await make(web.host, publishSite({ ...plan, certificate: false }, web.facts));
  const { tenant, server, serverName } = plan;
  return { domain, web, plan: { site, tenant, server, serverName, names: [domain, ...plan.aliases] } };
}

/** Runs the product's operation to its end; returns its row. */
async function issue(
  { plan, domain }: LiveSite,
  over: Partial<CertificatePlan> = {},
  acme: Pick<LabAcme, 'directoryUrl' | 'caFile'> = lab.acme,
  more: Partial<Config> = {},
) {
  const config = {
    ...chom.config,
    acmeDirectory: acme.directoryUrl,
    acmeCaFile: acme.caFile,
    dnsServer: lab.acme.dnsServer,
    ...more,
  };
  const { tenant, server, serverName, site } = plan;
  const request = { kind: 'issue-certificate', input: { ...plan, ...over }, summary: 'a certificate' } as const;
  const id = await chom.withWorker(certificateActivities({ ...chom.deps, config, hosts }), async () => {
    const operation = await submit(chom, { ...request, tenant, server, serverName, site, domain });
    await chom.temporal.workflow
      .getHandle(operation)
      .result()
      .catch(() => undefined);
    return operation;
  });
  await chom.replayed(id);
  return await operations.byId(chom.inventory.db, id);
}

async function served({ domain, web }: LiveSite) {
  return await servedCertificate({ address: web.host.address, name: domain, server: web.host.name });
}

const installed = async ({ plan }: LiveSite) => await certificates.installed(chom.inventory.db, plan.site);
const eventTypes = async (operation: string) =>
  (await events.list(chom.inventory.db, { operation })).map(({ type }) => type);

/** What no operation may leave on the server: challenge files, keys in the making. */
async function leftovers({ plan, web }: LiveSite): Promise<string> {
  return await ask(
    web.host,
    sh`find /var/lib/chom/acme/.well-known/acme-challenge ${`/var/lib/chom/tls/${plan.site}/next`} -mindepth 1 2>/dev/null || true`,
  );
}

describe('a certificate', () => {
  test.each(NAMES)('[IS-03] is issued, installed and served on %s, and the key never left the server', async (on) => {
    const site = await liveSite({ on });
    const { web } = site;
    const operation = await issue(site);
    expect(operation).toMatchObject({ outcome: 'succeeded', warnings: [], reason: null });
    const now = await served(site);
    const row = await installed(site);
    expect(row).toMatchObject({ fingerprint: now.fingerprint, notAfter: now.notAfter, names: [site.domain] });
    const root = new X509Certificate(await lab.acme.rootCertificate());
    const [, issuer = ''] = (row?.chain ?? '').split(/(?<=-----END CERTIFICATE-----\n)/);
    expect(new X509Certificate(issuer).verify(root.publicKey)).toBe(true);
    expect(await eventTypes(operation.id)).toEqual(['CertificateIssued']);
    expect(await leftovers(site)).toBe('');
    expect(await ask(web.host, sh`stat -L -c '%a %U' ${`/var/lib/chom/tls/${site.plan.site}/key.pem`}`)).toBe(
      '600 root\n',
    );
    const history = JSON.stringify(await chom.replayed(operation.id));
    const key = await ask(web.host, sh`cat ${`/var/lib/chom/tls/${site.plan.site}/key.pem`}`);
    expect(history).not.toContain(key.split('\n')[1]);
    expect(JSON.stringify(operation.steps)).toContain('Check what is served');
  });

  test('that is valid and not due is kept, and one that is asked for all the same replaces it', async () => {
    const site = await liveSite();
    await issue(site);
    const before = await served(site);
    expect(await issue(site)).toMatchObject({ outcome: 'succeeded' });
    expect((await served(site)).fingerprint).toBe(before.fingerprint);
    expect(await issue(site, { force: true })).toMatchObject({ outcome: 'succeeded', reason: null });
    const after = await served(site);
    expect(after.fingerprint).not.toBe(before.fingerprint);
    expect(await installed(site)).toMatchObject({ fingerprint: after.fingerprint });
    const accounts = await chom.inventory.db.selectFrom('accounts').selectAll().execute();
    expect(accounts).toHaveLength(1);
  });

  test('leaves out an alias that does not resolve, and holds the others', async () => {
    const site = await liveSite({ aliases: ['www', 'dead'] });
    await lab.acme.setAddress(`www.${site.domain}`, { a: [site.web.host.address] });
    const { outcome, warnings } = await issue(site);
    expect(outcome).toBe('succeeded');
    expect(warnings).toEqual([expect.stringContaining(`dead.${site.domain} does not resolve`)]);
    expect((await served(site)).names.toSorted()).toEqual([site.domain, `www.${site.domain}`].toSorted());
  });
});

/** How long the operation waited each time, in seconds. */
async function waits(operation: string): Promise<number[]> {
  // The clock that watches for twice the expected time is no wait.
  return timersOf(await chom.replayed(operation)).filter((seconds) => seconds >= 60 && seconds !== 240);
}

test('[FS-10] an authority that limits requests is left alone as long as it says, in seconds or by a date', async () => {
  const site = await liveSite();
  const proxy = await startAcmeProxy(lab.acme);
  try {
    const until = new Date(Date.now() + 900_000).toUTCString();
    for (const after of ['1800', until]) {
      const headers = { 'retry-after': after, date: new Date().toUTCString() };
      proxy.next(NEW_ORDER, { status: 429, type: 'rateLimited', headers });
    }
    const operation = await issue(site, {}, proxy);
    expect(operation).toMatchObject({ outcome: 'succeeded', warnings: [] });
    const [first, second, ...more] = await waits(operation.id);
    expect([first, more]).toEqual([1800, []]);
    expect(Math.abs((second ?? 0) - 900)).toBeLessThan(5);
    expect(proxy.count(NEW_ORDER)).toBe(3);
    expect((await installed(site))?.fingerprint).toBe((await served(site)).fingerprint);
  } finally {
    await proxy.close();
  }
});

describe('[IS-05] a site whose certificate cannot be issued', () => {
  test('because its AAAA record leads elsewhere is told so before any order, and stays up', async () => {
    const site = await liveSite();
    await lab.acme.setAddress(site.domain, { a: [site.web.host.address], aaaa: ['2001:db8::bad'] });
    const operation = await issue(site);
    expect(operation).toMatchObject({ outcome: 'failed', failureType: 'DomainNotPointed' });
    expect(operation.reason).toContain('AAAA record 2001:db8::bad');
    expect(JSON.stringify(operation.steps)).not.toContain('Order the certificate');
    expect(await eventTypes(operation.id)).toContain('CertificateFailed');
    await expectPlainHttp(site);
  });

  test('because the authority refuses the name is as it was, with nothing left behind', async () => {
    const site = await liveSite({ domain: 'blocked-domain.example' });
    const operation = await issue(site);
    expect(operation).toMatchObject({ outcome: 'failed', failureType: 'CertificateRefused' });
    await expectPlainHttp(site);
  });

  test('[FS-12] because the authority is away gets its attempts, and afterwards one account again', async () => {
    const site = await liveSite();
    await lab.acme.stop();
    const operation = await issue(site).catch(async (error: unknown) => {
      await lab.acme.start();
      throw error;
    });
    await lab.acme.start();
    expect(operation).toMatchObject({ outcome: 'failed', failureType: 'AuthorityUnreachable' });
    expect(operation.steps.at(-1)).toMatchObject({ attempt: 3 });
    expect(await waits(operation.id)).toEqual([120, 120]);
    await expectPlainHttp(site);
    const { outcome, warnings } = await issue(site);
    expect(outcome).toBe('succeeded');
    expect(warnings).toEqual([expect.stringContaining('had forgotten our account')]);
  });

  test('[FS-11] because the authority fails gets three attempts, and is as it was', async () => {
    const site = await liveSite();
    const proxy = await startAcmeProxy(lab.acme);
    try {
      for (let n = 0; n < 9; n += 1) proxy.next(NEW_ORDER, { status: 500, type: 'serverInternal' });
      const operation = await issue(site, {}, proxy);
      expect(operation).toMatchObject({ outcome: 'failed', failureType: 'AuthorityError' });
      expect(operation.steps.at(-1)).toMatchObject({ label: 'Order the certificate', attempt: 3 });
      expect(await waits(operation.id)).toEqual([120, 120]);
      await expectPlainHttp(site);
    } finally {
      await proxy.close();
    }
  });

  test('keeps the certificate it has, when the new one is not what is served', async () => {
    const site = await liveSite();
    const { web } = site;
    await issue(site);
    const before = await served(site);
    // It takes no signal, and its workers go on with what they have.
    await ask(web.host, sh`kill -STOP "$(systemctl show -P MainPID nginx)"`);
    try {
      const operation = await issue(site, { force: true });
      expect(operation).toMatchObject({ outcome: 'failed', failureType: 'ProbeFailed' });
      expect(operation.reason).toContain('still serves another certificate');
    } finally {
      await ask(web.host, sh`kill -CONT "$(systemctl show -P MainPID nginx)"`);
    }
    await expect.poll(async () => (await served(site)).fingerprint).toBe(before.fingerprint);
    expect(await installed(site)).toMatchObject({ fingerprint: before.fingerprint });
    const chain = await ask(web.host, sh`cat ${`/var/lib/chom/tls/${site.plan.site}/fullchain.pem`}`);
    expect(createHash('sha256').update(new X509Certificate(chain).raw).digest('hex')).toBe(before.fingerprint);
    expect(await leftovers(site)).toBe('');
  });

  /** Served over HTTP, not over HTTPS, and no trace of the try. */
  async function expectPlainHttp(site: LiveSite): Promise<void> {
    const page = await fetchPage(site);
    expect(page).toMatch(/^HTTP\/1\.1 200/);
    await expect(served(site)).rejects.toMatchObject({ type: 'ProbeFailed' });
    expect(await leftovers(site)).toBe('');
    expect(await ask(site.web.host, sh`ls ${`/var/lib/chom/tls/${site.plan.site}`} 2>/dev/null || true`)).not.toContain(
      'pem',
    );
  }
});

describe('an authority that makes accounts only for whom it knows', () => {
  let second: BindingAuthority;
  beforeAll(async () => void (second = await startBindingAuthority(lab.acme)), 120_000);
  afterAll(async () => await second?.close());

  /** With the second authority in reserve, and this to show there. */
  const inReserve = (binding: Partial<Pick<Config, 'acmeFallbackEabKid' | 'acmeFallbackEabSecret'>>) => ({
    ...{ acmeFallbackDirectory: second.directoryUrl, acmeFallbackCaFile: second.caFile },
    ...binding,
  });

  test('refuses us without the key it gave, or with another, and issues to the account that is made with it', async () => {
    const site = await liveSite();
    await issue(site);
    const before = await installed(site);
    const renewal = { certificate: before?.id ?? '', emergency: true, fallback: true };
    const atSecond = async (binding: Parameters<typeof inReserve>[0]) =>
      await issue(site, { renewal }, lab.acme, inReserve(binding));
    const { kid, hmacKey } = second.binding;
    const other = Buffer.from('another key of thirty-two bytes.').toString('base64url');
    const { host } = new URL(second.directoryUrl);
    const settings = 'CHOM_ACME_FALLBACK_EAB_KID and CHOM_ACME_FALLBACK_EAB_SECRET';
    for (const [binding, reason, cause] of [
      [{}, `${host} makes accounts only for whom it gave a key`, 'none is set'],
      [
        { acmeFallbackEabKid: 'theirs', acmeFallbackEabSecret: hmacKey },
        `${host} makes no account for us`,
        'does not know the external account key theirs',
      ],
      [
        { acmeFallbackEabKid: kid, acmeFallbackEabSecret: other },
        `${host} makes no account for us`,
        'that key is another one than ours',
      ],
    ] as const) {
      expect(await atSecond(binding)).toMatchObject({
        ...{ outcome: 'failed', failureType: 'CertificateRefused', reason: expect.stringContaining(reason) },
        details: { cause: expect.stringContaining(cause), next: expect.stringContaining(`set ${settings}`) },
      });
    }
    expect(await installed(site)).toMatchObject({ fingerprint: before?.fingerprint });

    const operation = await atSecond({ acmeFallbackEabKid: kid, acmeFallbackEabSecret: hmacKey });
    expect(operation).toMatchObject({ outcome: 'succeeded', reason: null });
    const row = await installed(site);
    const root = new X509Certificate(await second.rootCertificate());
    const [, issuer = ''] = (row?.chain ?? '').split(/(?<=-----END CERTIFICATE-----\n)/);
    expect(new X509Certificate(issuer).verify(root.publicKey)).toBe(true);
    expect(await served(site)).toMatchObject({ fingerprint: row?.fingerprint });
    expect(JSON.stringify(await chom.replayed(operation.id))).not.toContain(hmacKey);
  });
});

async function fetchPage({ domain, web }: LiveSite): Promise<string> {
  return await ask(web.host, sh`curl -si --resolve ${`${domain}:80:${web.host.address}`} ${`http://${domain}/`}`);
}
