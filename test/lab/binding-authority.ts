import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { LabAcme } from '../../lab/acme.js';
import { poll } from '../../lab/poll.js';
import { freePort } from '../../lab/ports.js';
import { acmePrograms } from '../../lab/programs.js';

/** A second authority beside the lab's: Pebble, that makes accounts only for those to whom it gave a key before. */
export interface BindingAuthority {
  readonly directoryUrl: string;
  readonly caFile: string;
  /** What it gave: the key's id, and the key in base64url. */
  readonly binding: { kid: string; hmacKey: string };
  /** PEM of the root above the certificates it issues. */
  rootCertificate(): Promise<string>;
  close(): Promise<void>;
}

export async function startBindingAuthority(acme: LabAcme): Promise<BindingAuthority> {
  const { pebble: program } = await acmePrograms();
  const directory = await mkdtemp(join(tmpdir(), 'chom-binding-'));
  const file = join(directory, 'pebble.json');
  const { hostname } = new URL(acme.directoryUrl);
  const binding = { kid: 'ours', hmacKey: Buffer.from('a key of thirty-two bytes, or so').toString('base64url') };
  const [listen, manage] = [`${hostname}:${await freePort()}`, `${hostname}:${await freePort()}`];
  const { pebble } = JSON.parse(await readFile(join(dirname(acme.caFile), 'pebble.json'), 'utf8')) as {
    pebble: object;
  };
  const required = {
    ...{ listenAddress: listen, managementListenAddress: manage },
    ...{ externalAccountBindingRequired: true, externalAccountMACKeys: { [binding.kid]: binding.hmacKey } },
  };
  await writeFile(file, JSON.stringify({ pebble: { ...pebble, ...required } }));
  const words = ['--pdeathsig', 'KILL', program, '-config', file, '-strict', '-dnsserver', acme.dnsServer];
  const child = spawn('setpriv', words, {
    env: { ...process.env, PEBBLE_VA_NOSLEEP: '1', PEBBLE_AUTHZREUSE: '0' },
    stdio: 'ignore',
  });
  const close = async () => {
    await gone(child);
    await rm(directory, { recursive: true, force: true });
  };
  const ca = await readFile(acme.caFile, 'utf8');
  const directoryUrl = `https://${listen}/dir`;
  await poll('the second authority answers', 60_000, async () => await ask(directoryUrl, ca).catch(() => '')).catch(
    async (error: unknown) => {
      await close();
      throw error;
    },
  );
  return {
    directoryUrl,
    caFile: acme.caFile,
    binding,
    rootCertificate: async () => await ask(`https://${manage}/roots/0`, ca),
    close,
  };
}

async function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

/** What it answers; fetch cannot be told to trust it. */
async function ask(url: string, ca: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const asked = get(url, { ca, agent: false, headers: { 'user-agent': 'chom-lab' }, timeout: 10_000 }, (answer) => {
      let said = '';
      answer.setEncoding('utf8').on('data', (some: string) => (said += some));
      answer.once('end', () => (answer.statusCode === 200 ? resolve(said) : reject(new Error(said))));
    });
    asked.once('error', reject).once('timeout', () => asked.destroy(new Error(`${url} did not answer`)));
  });
}
