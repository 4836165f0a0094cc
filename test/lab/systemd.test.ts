import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Lab, startLab } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { makeCertificate } from '../../lab/tls.js';
import { wordpressArchive } from '../../lab/wordpress.js';
import { findProgram } from '../../src/client/program.js';
import { temporalCli } from '../../src/client/programs/temporal.js';
import { answered, marked, noteScript, sectionBlocks } from './guide.js';
import { installChom, pipe } from './installed.js';
import { visit } from './rig-visit.js';

const units = ['chom-temporal', 'chom-codec-server', 'chom-worker', 'chom-serve'] as const;

let lab: Lab;
beforeAll(async () => {
  const hosts = [{ name: 'ctl', bare: true }, { name: 'web1' }, { name: 'box', store: true }];
  lab = await startLab({ hosts, acme: true });
  await installChom(lab.host('ctl'), await findProgram(temporalCli));
});
afterAll(async () => await lab?.down());

test('systemd units of the guide run a whole CHOM', async () => {
  await on(marked('install units'));
  await settings();
  const files = (await readdir(new URL('../../packaging/systemd/', import.meta.url))).filter((name) =>
    name.endsWith('.service'),
  );
  const verified = await on(`cd /etc/systemd/system && systemd-analyze verify ${files.join(' ')} 2>&1`);
  expect(verified).toBe('');
  await on(marked('start units'));
  await allIsWell();
  expect(await on('tr "\\0" "\\n" </proc/$(systemctl show -P MainPID chom-worker)/environ')).not.toContain(
    'opensesame',
  );
  const decode = 'curl -s -w " %{http_code}" -d \'{"payloads":[]}\' http://127.0.0.1:8234/decode';
  // For the UI's pages, and for nobody else without a token.
  expect(await on(`${decode} -H 'Origin: http://127.0.0.1:8233'`)).toBe('{"payloads":[]} 200');
  expect(await on(decode)).toMatch(/401$/);
  const { address: controller } = lab.host('ctl');
  await on(`cd /srv\n${marked('start API')}`);
  const listed = await on(`CHOM_TOKEN=$(chom token create deploy)
    export CHOM_TOKEN CHOM_API=https://${controller}:8443
    until curl -s --cacert /etc/chom/ca.pem $CHOM_API/healthz >/dev/null; do systemctl is-active -q chom-serve; sleep 0.2; done
    chom site list --json`);
  expect(JSON.parse(listed)).toEqual({ sites: [] });
  for (const unit of units) {
    // Exposure of a unit without any restriction is 9.6.
    const [, exposure] = /exposure level for \S+: ([\d.]+)/.exec(await on(`systemd-analyze security ${unit}`)) ?? [];
    expect(Number(exposure), unit).toBeLessThan(3);
    // What the unit starts serves, or its port would not have answered.
    noteScript((await on(`systemctl cat ${unit}`)).replaceAll('/opt/chom/dist/cli/chom.js', 'chom'));
  }
});

test('the guide leads from an empty server to its first renewal, every command of it as it stands there', async () => {
  const { address } = lab.host('web1');
  for (const name of ['example.org', 'www.example.org']) await lab.acme.setAddress(name, { a: [address] });
  await put({ '/srv/guide/web1.key': lab.host('web1').privateKey });
  await on('chown -R chom /srv/guide && chmod 0600 /srv/guide/web1.key');

  await follow('3. ');
  const [added = ''] = await follow('4. ');
  expect(added).toContain('CHOM-RECOVERY-PRIVATE-');
  await follow('5. ');
  const first = await serial();
  await follow('6. ');
  expect(await on(`ls ${lab.store.sftpPath}/control-plane`, 'box')).toMatch(/^control-plane-.*\.chom-sealed$/m);
  await follow('7. ');
  expect(await on('cat /srv/alerts.log')).toContain('"type":"Test"');
  await follow('8. ');
  expect(await serial()).not.toBe(first);
  await follow('Every day');
});

test('what the units run is stopped without loss, started again when it was killed, and at boot', async () => {
  const { address } = lab.host('web1');
  // Stopped in the middle: it ends by itself, and the next one goes on with what it was at.
  const id = await on(`chom site create two.example --server web1 --type php --database --no-tls --detach
    systemctl stop chom-worker`);
  expect(await on('systemctl show -P Result -P ExecMainCode -P ExecMainStatus chom-worker')).toBe('success\n1\n0');
  expect(JSON.parse(await on(`chom op show ${id} --json`))).toMatchObject({ status: 'running' });
  await on('systemctl start chom-worker');
  await on(`chom op watch ${id}`);
  expect((await visit('two.example', { address })).status).toBe(200);

  const before = await on('systemctl show -P MainPID chom-worker');
  await on('systemctl kill --signal=KILL chom-worker');
  await poll('another worker runs', 60_000, async () => {
    return ![before, '0'].includes(await on('systemctl show -P MainPID chom-worker'));
  });
  await on('chom site suspend two.example');

  await lab.host('ctl').reboot();
  await lab.host('ctl').waitUntilBooted();
  await allIsWell();
  await on('chom site resume two.example');
  expect((await visit('two.example', { address })).status).toBe(200);
});

/** The lab's authority, names and WordPress, the API's certificate, and whom the guide's webhook is sent to; a secret stands in a file of its own. */
async function settings(): Promise<void> {
  const { address } = lab.host('ctl');
  const archive = await readFile(await wordpressArchive());
  const { ca, certificate, privateKey } = await makeCertificate('alerts.example.org', address);
  await put({
    '/etc/chom/smtp-url': 'smtp://chom:opensesame@127.0.0.1:9',
    '/etc/chom/acme-ca.pem': await readFile(lab.acme.caFile, 'utf8'),
    '/etc/chom/ca.pem': ca,
    '/srv/fullchain.pem': certificate,
    '/srv/privkey.pem': privateKey,
    '/srv/alerts.mjs': ALERTS,
  });
  await pipe(lab.host('ctl'), ['cat', await wordpressArchive()], 'cat >/srv/wordpress.tar.gz');
  const words = {
    CHOM_ACME_DIRECTORY: lab.acme.directoryUrl,
    CHOM_ACME_CA_FILE: '/etc/chom/acme-ca.pem',
    CHOM_DNS_SERVER: lab.acme.dnsServer,
    CHOM_WORDPRESS_URL: 'http://127.0.0.1:8010/',
    CHOM_WORDPRESS_SHA256: createHash('sha256').update(archive).digest('hex'),
    CHOM_SMTP_URL_FILE: '/etc/chom/smtp-url',
    NODE_EXTRA_CA_CERTS: '/etc/chom/ca.pem',
  };
  const lines = Object.entries(words).map(([name, value]) => `'${name}=${value}'`);
  await on(`chown root:chom /etc/chom/smtp-url && chmod 0640 /etc/chom/smtp-url && chmod 0644 /etc/chom/*.pem
    printf '%s\\n' ${lines.join(' ')} >>/etc/chom/chom.env
    echo '${address} alerts.example.org' >>/etc/hosts
    systemd-run --quiet --unit alerts /usr/local/bin/node /srv/alerts.mjs`);
}

/** Keeps what it is told, over TLS, and serves the archive on loopback. */
const ALERTS = `import { appendFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createServer as createPlain } from 'node:http';
const [cert, key] = ['fullchain', 'privkey'].map((name) => readFileSync(\`/srv/\${name}.pem\`));
createServer({ cert, key }, (request, response) => {
  request.on('data', (data) => appendFileSync('/srv/alerts.log', data)).on('end', () => response.end());
}).listen(443);
createPlain((_, response) => response.end(readFileSync('/srv/wordpress.tar.gz'))).listen(8010, '127.0.0.1');
`;

/**
 * Runs the commands of a section of the guide, with the lab's addresses for those of documentation, which are private ones. Returns what
 * each block printed.
 */
async function follow(heading: string): Promise<string[]> {
  const said: string[] = [];
  for (const block of sectionBlocks(heading)) {
    const script = answered(block, ['chom server add', 'chom storage add'])
      .replaceAll('203.0.113.10', lab.host('web1').address)
      .replaceAll('sftp:chom@198.51.100.7:/backups', lab.store.sftp)
      .replace('alerts.example.org/chom', '$& --allow-private');
    const printed = await on(`cd /srv/guide\n(${script}) 2>&1`);
    said.push(printed);
    noteScript(block);
    // As the guide says: the key that CHOM prints is let in at the storage.
    if (block.includes('storage add')) await lab.store.authorize(/ssh-ed25519 \S+ \S+/.exec(printed)?.[0] ?? '');
  }
  return said;
}

/** Of the certificate that the guide's site serves; it answers under both names. */
async function serial(): Promise<string> {
  const { address } = lab.host('web1');
  const root = await lab.acme.rootCertificate();
  expect((await visit('www.example.org', { address, root })).status).toBe(301);
  const { status, certificate } = await visit('example.org', { address, root });
  expect(status).toBe(200);
  return certificate?.serialNumber ?? '';
}

/** Writes files on the controller. */
async function put(files: Record<string, string>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await on(`install -D /dev/stdin ${path} <<'CONTENT'\n${content}\nCONTENT`);
  }
}

/** Waits until the units have come up, a worker among them. */
async function allIsWell(): Promise<void> {
  await poll('all is well', 120_000, async () => {
    const { checks } = JSON.parse(await on('chom doctor --json || true')) as {
      checks: { name: string; state: string }[];
    };
    return checks.every(({ state }) => state !== 'wrong');
  });
}

/** Runs a script on the controller, or on another host, as root; what it printed, trimmed. Throws unless it succeeds. */
async function on(script: string, host = 'ctl'): Promise<string> {
  const { exit, stdout, stderr } = await lab.host(host).exec(`set -e\n${script}`);
  if (exit === 0) return stdout.trim();
  const journal = await lab.host('ctl').exec('journalctl --no-pager --lines 40 --unit "chom-*"');
  throw new Error(`${script} ended with ${exit}:\n${stdout}\n${stderr}\n${journal.stdout}`);
}
