import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Lab, startLab } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { makeCertificate } from '../../lab/tls.js';
import { findProgram } from '../../src/client/program.js';
import { temporalCli } from '../../src/client/programs/temporal.js';
import { installChom } from './installed.js';
import { visit } from './rig-visit.js';

const units = ['chom-temporal', 'chom-codec-server', 'chom-worker', 'chom-serve'] as const;

let lab: Lab;
beforeAll(async () => {
  lab = await startLab({ hosts: [{ name: 'ctl', bare: true }, { name: 'web1' }] });
  await installChom(lab.host('ctl'), await findProgram(temporalCli));
});
afterAll(async () => await lab?.down());

test('systemd units run a whole CHOM, stop it without loss, and start it at boot', async () => {
  const guide = await readFile(fileURLToPath(new URL('../../docs/guide.md', import.meta.url)), 'utf8');
  // The very commands of the guide.
  const commands = (name: string) => guide.split(`<!-- ${name} -->\n\n\`\`\`sh\n`)[1]?.split('```')[0] ?? '';
  await on(commands('install units'));
  // Nobody is asked beyond this machine; a secret in a file of its own.
  await on(`echo smtp://chom:opensesame@127.0.0.1:9 >/etc/chom/smtp-url
    chown root:chom /etc/chom/smtp-url && chmod 0640 /etc/chom/smtp-url
    printf '%s\\n' CHOM_ACME_DIRECTORY=https://127.0.0.1:9/dir CHOM_DNS_SERVER=127.0.0.1:9 CHOM_SMTP_URL_FILE=/etc/chom/smtp-url \\
      >>/etc/chom/chom.env`);
  const files = (await readdir(new URL('../../packaging/systemd/', import.meta.url))).filter((name) =>
    name.endsWith('.service'),
  );
  const verified = await on(`cd /etc/systemd/system && systemd-analyze verify ${files.join(' ')} 2>&1`);
  expect(verified).toBe('');
  await on(commands('start units'));
  await allIsWell();
  expect(await on('tr "\\0" "\\n" </proc/$(systemctl show -P MainPID chom-worker)/environ')).not.toContain(
    'opensesame',
  );
  const decode = 'curl -s -w " %{http_code}" -d \'{"payloads":[]}\' http://127.0.0.1:8234/decode';
  // For the UI's pages, and for nobody else without a token.
  expect(await on(`${decode} -H 'Origin: http://127.0.0.1:8233'`)).toBe('{"payloads":[]} 200');
  expect(await on(decode)).toMatch(/401$/);
  const { address: controller } = lab.host('ctl');
  const { ca, certificate, privateKey: ofApi } = await makeCertificate('ctl', controller);
  for (const [name, pem] of Object.entries({ ca, fullchain: certificate, privkey: ofApi })) {
    await on(`cat >/srv/${name}.pem <<'PEM'\n${pem}PEM`);
  }
  await on(`cd /srv\n${commands('start API')}`);
  const listed = await on(`CHOM_TOKEN=$(chom token create deploy)
    export CHOM_TOKEN CHOM_API=https://${controller}:8443 NODE_EXTRA_CA_CERTS=/srv/ca.pem
    until curl -s --cacert /srv/ca.pem $CHOM_API/healthz >/dev/null; do systemctl is-active -q chom-serve; sleep 0.2; done
    chom site list --json`);
  expect(JSON.parse(listed)).toEqual({ sites: [] });
  for (const unit of units) {
    // Exposure of a unit without any restriction is 9.6.
    const [, exposure] = /exposure level for \S+: ([\d.]+)/.exec(await on(`systemd-analyze security ${unit}`)) ?? [];
    expect(Number(exposure), unit).toBeLessThan(3);
  }

  const { address, privateKey, hostKey } = lab.host('web1');
  await on(`install -o chom -m 0600 /dev/stdin /run/web1.key <<'KEY'\n${privateKey}\nKEY`);
  const added = await on(`chom server add web1 --host ${address} --key /run/web1.key --host-key ${hostKey} 2>&1`);
  expect(added).toContain('CHOM-RECOVERY-PRIVATE-');
  await on('chom site create one.example --server web1 --no-tls');
  expect((await visit('one.example', { address })).status).toBe(200);

  // Stopped in the middle: it ends by itself, and the next one goes on with what it was at.
  const id = await on(`chom site create two.example --server web1 --type php --database --no-tls --detach
    systemctl stop chom-worker`);
  expect(await on('systemctl show -P Result -P ExecMainCode -P ExecMainStatus chom-worker')).toBe('success\n1\n0');
  expect(JSON.parse(await on(`chom op show ${id} --json`))).toMatchObject({ status: 'running' });
  await on('systemctl start chom-worker');
  await on(`chom op watch ${id}`);
  expect((await visit('two.example', { address })).status).toBe(200);

  // Killed, it is started again.
  const before = await on('systemctl show -P MainPID chom-worker');
  await on('systemctl kill --signal=KILL chom-worker');
  await poll('another worker runs', 60_000, async () => {
    return ![before, '0'].includes(await on('systemctl show -P MainPID chom-worker'));
  });
  await on('chom site suspend one.example');

  await lab.host('ctl').reboot();
  await lab.host('ctl').waitUntilBooted();
  await allIsWell();
  await on('chom site resume one.example');
  expect((await visit('one.example', { address })).status).toBe(200);
});

/** Waits until the units have come up, a worker among them. */
async function allIsWell(): Promise<void> {
  await poll('all is well', 120_000, async () => {
    const { checks } = JSON.parse(await on('chom doctor --json || true')) as {
      checks: { name: string; state: string }[];
    };
    return checks.every(({ state }) => state !== 'wrong');
  });
}

/** Runs a script on the controller, as root; what it printed, trimmed. Throws unless it succeeds. */
async function on(script: string): Promise<string> {
  const { exit, stdout, stderr } = await lab.host('ctl').exec(`set -e\n${script}`);
  if (exit === 0) return stdout.trim();
  const journal = await lab.host('ctl').exec('journalctl --no-pager --lines 40 --unit "chom-*"');
  throw new Error(`${script} ended with ${exit}:\n${stdout}\n${stderr}\n${journal.stdout}`);
}
