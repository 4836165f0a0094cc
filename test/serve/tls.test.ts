import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serve, startTenants, type Tenants } from './tenants.js';

let tenants: Tenants;
let directory: string;
beforeAll(async () => {
  tenants = await startTenants();
  directory = await mkdtemp(join(tmpdir(), 'chom-tls-'));
  for (const name of ['one', 'two']) {
    const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    const files = ['-keyout', join(directory, `${name}.key`), '-out', join(directory, `${name}.pem`)];
    await promisify(execFile)('openssl', [...made, '-subj', `/CN=${name}`, ...files]);
  }
});
afterAll(async () => {
  await tenants?.close();
  await rm(directory, { recursive: true, force: true });
});

const file = (name: string) => join(directory, name);

test('a renewed certificate is served without a restart, and one that is wrong never', async () => {
  const tls = { cert: file('cert.pem'), key: file('key.pem') };
  const use = async (name: string) => {
    await copyFile(file(`${name}.key`), tls.key);
    await copyFile(file(`${name}.pem`), tls.cert);
  };
  await use('one');
  const log: string[] = [];
  const api = await serve(tenants.chom, log, { tls, renewMs: 50 });
  try {
    expect(await nameAt(api.url)).toBe('one');
    await use('two');
    await expect.poll(async () => await nameAt(api.url)).toBe('two');
    await writeFile(tls.cert, '-----BEGIN CERTIFICATE-----\n');
    await expect.poll(() => log.join('\n')).toContain('is served on');
    expect(await nameAt(api.url)).toBe('two');
  } finally {
    await api.close();
  }
});

test('without TLS it is served on loopback alone, and with files that do not belong together not at all', async () => {
  const refused = { type: 'InvalidInput' };
  await expect(serve(tenants.chom, [], { host: '0.0.0.0' })).rejects.toMatchObject(refused);
  const tls = { cert: file('one.pem'), key: file('two.key') };
  await expect(serve(tenants.chom, [], { tls })).rejects.toMatchObject(refused);
  await expect(serve(tenants.chom, [], { tls: { ...tls, key: file('none') } })).rejects.toMatchObject(refused);
  for (const words of [[], ['--tls-cert', tls.cert], ['--plain-http', '--tls-cert', tls.cert, '--tls-key', tls.key]]) {
    expect((await tenants.line.here('serve', ...words)).status).toBe(2);
  }
  expect((await tenants.line.here('serve', '--plain-http', '--host', '0.0.0.0')).status).toBe(2);
});

/** Whose certificate is served to a new connection. */
async function nameAt(url: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.once('error', reject);
  });
}
