import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { createServer } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { covers, readCertificate } from '../../src/activities/certificate-facts.js';
import { renewalDue } from '../../src/inventory/renewal-schedule.js';
import { servedCertificate } from '../../src/activities/served-certificate.js';
import { selfSigned } from './self-signed.js';

const servers: Server[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

describe('the certificate that is served', () => {
  test('[IS-04] is the one for the name that is asked, and says itself when it ends', async () => {
    const site = await selfSigned(['a.test', 'www.a.test'], 45);
    const other = await selfSigned(['other.test'], 90);
    const server = createServer({ ...other });
    server.addContext('a.test', site);
    const port = await listen(server);
    const served = await servedCertificate({ address: '127.0.0.1', port, name: 'a.test', server: 'web1' });
    expect(served).toEqual(readCertificate(site.cert));
    expect(served.names).toEqual(['a.test', 'www.a.test']);
    expect(served.issuer).toBe('O=Test CA');
    expect(served.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(Date.parse(served.notAfter) - Date.parse(served.notBefore)).toBe(45 * 86_400_000);
  });

  test('may be of an issuer that has no name', async () => {
    const server = createServer({ ...(await selfSigned(['a.test'], 45, '')) });
    const port = await listen(server);
    const served = await servedCertificate({ address: '127.0.0.1', port, name: 'a.test', server: 'web1' });
    expect(served).toMatchObject({ names: ['a.test'], issuer: 'an issuer without a name' });
  });

  test('is missing where nothing listens, or something else does', async () => {
    const plain = createTcpServer((socket) => void socket.resume().end('hello'));
    const port = await listen(plain);
    const target = { address: '127.0.0.1', port, name: 'a.test', server: 'web1' };
    await expect(servedCertificate(target)).rejects.toMatchObject({ type: 'ProbeFailed' });
    await new Promise((resolve) => servers.pop()?.close(resolve));
    await expect(servedCertificate(target)).rejects.toMatchObject({
      type: 'ProbeFailed',
      message: expect.stringContaining('web1'),
    });
  });
});

test.each([
  ['90 days', 90 * 24, 60 * 24],
  ['45 days', 45 * 24, 30 * 24],
  ['160 hours', 160, 80],
])('[IS-04] a certificate of %s is due when a third is left, or half of a short one', (_, life, due) => {
  const notBefore = '2026-11-23T00:00:00.000Z';
  const from = Date.parse(notBefore);
  const notAfter = new Date(from + life * 3_600_000).toISOString();
  expect(renewalDue({ notBefore, notAfter })).toBe(from + due * 3_600_000);
});

test('a certificate covers names that it has, while it is valid', () => {
  const facts = { names: ['a.test'], notBefore: '2026-01-01T00:00:00.000Z', notAfter: '2026-04-01T00:00:00.000Z' };
  expect(covers(facts, ['a.test'], Date.parse('2026-02-01'))).toBe(true);
  expect(covers(facts, ['a.test', 'www.a.test'], Date.parse('2026-02-01'))).toBe(false);
  expect(covers(facts, ['a.test'], Date.parse('2025-12-31'))).toBe(false);
  expect(covers(facts, ['a.test'], Date.parse('2026-04-01'))).toBe(false);
});
