import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { installPackages } from '../lab/packages.js';
import { issueCertificate } from '../src/client/new-certificate.js';
import { createSite } from '../src/client/new-site.js';
import { heading, missing, tell } from './report.js';
import { takeTurns, type Contender } from './rounds.js';
import { SERVER, type Setting } from './setting.js';

const run = promisify(execFile);

/**
 * A certificate from the lab's authority, which does not sleep and refuses a fifth of all nonces for everybody. CHOM
 * makes the key on the server, publishes the site with it and sees it served; the others only fetch, and answer the
 * challenge themselves, on this machine: their shortest way.
 */
export async function compareCertificates(setting: Setting, rounds: number): Promise<void> {
  heading('A certificate: order, challenge, key; through CHOM also installed, served and seen');
  const directory = await mkdtemp(join(tmpdir(), 'chom-bench-acme-'));
  const contenders = [throughChom(setting)];
  for (const make of [certbot, lego]) {
    try {
      contenders.push(await make(setting, directory));
    } catch (error) {
      missing(make.name, error);
    }
  }
  try {
    tell(await takeTurns(rounds, contenders), [
      { other: 'certbot', atLeast: 3 },
      { other: 'lego', atLeast: 1 },
    ]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function throughChom({ chom, rig, host, succeeded }: Setting): Contender {
  const domain = (turn: string) => `tls-${turn}.bench.test`;
  return {
    name: 'CHOM',
    async prepare(turn) {
      await rig.lab.acme.setAddress(domain(turn), { a: [host.address] });
      const { operation } = await createSite(chom, { domain: domain(turn), server: SERVER, tls: false });
      await succeeded(operation);
    },
    async once(turn) {
      await succeeded((await issueCertificate(chom, domain(turn))).operation);
    },
  };
}

/** Of another one than a site's: its challenge is answered on this machine's end of the lab's network. */
async function elsewhere({ rig }: Setting, domain: string): Promise<void> {
  await rig.lab.acme.setAddress(domain, { a: [here(rig.lab.acme)] });
}

function here({ dnsServer }: Setting['rig']['lab']['acme']): string {
  return dnsServer.split(':')[0] ?? '';
}

async function certbot(setting: Setting, directory: string): Promise<Contender> {
  await installPackages({ certbot: 'certbot' });
  const { acme } = setting.rig.lab;
  const domain = (turn: string) => `certbot-${turn}.bench.test`;
  return {
    name: 'certbot',
    // Debian 13's, at a refused nonce under Python 3.13.
    defect: /AttributeError: can't set attribute/,
    prepare: async (turn) => await elsewhere(setting, domain(turn)),
    async once(turn) {
      const places = ['config', 'work', 'logs'].flatMap((name) => [`--${name}-dir`, join(directory, 'certbot', name)]);
      const unattended = ['--non-interactive', '--agree-tos', '--register-unsafely-without-email'];
      const challenge = ['--standalone', '--http-01-address', here(acme), '--http-01-port', '80'];
      const words = ['certonly', '--server', acme.directoryUrl, ...unattended, ...challenge, ...places];
      await run('certbot', [...words, '-d', domain(turn)], {
        env: { ...process.env, REQUESTS_CA_BUNDLE: acme.caFile },
      });
    },
  };
}

async function lego(setting: Setting, directory: string): Promise<Contender> {
  await installPackages({ lego: 'lego' });
  const { acme } = setting.rig.lab;
  const domain = (turn: string) => `lego-${turn}.bench.test`;
  return {
    name: 'lego',
    prepare: async (turn) => await elsewhere(setting, domain(turn)),
    async once(turn) {
      const account = ['--server', acme.directoryUrl, '--email', 'bench@bench.test', '--accept-tos'];
      const challenge = ['--http', '--http.port', `${here(acme)}:80`];
      const words = [...account, ...challenge, '--path', join(directory, 'lego'), '--domains', domain(turn), 'run'];
      await run('lego', words, { env: { ...process.env, LEGO_CA_CERTIFICATES: acme.caFile } });
    },
  };
}
