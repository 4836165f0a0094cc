import { describe, expect, test } from 'vitest';
import type { ProbeAnswer } from '../../src/activities/challenge-probe.js';
import { type AddressRecord, checkNames, type NameCheck, serverAddresses } from '../../src/activities/name-check.js';
import { failureDetails } from '../../src/workflows/failures.js';

const OWN = '203.0.113.10';
const PROXY = '198.51.100.7';
const silent: ProbeAnswer = { answered: false, code: 'ECONNREFUSED' };

/** A world in which names have these addresses, and addresses answer so. */
function world(records: Record<string, string[] | Error>, answers: Record<string, ProbeAnswer> = {}) {
  const asked: string[] = [];
  let placed = 0;
  const check: NameCheck = {
    names: Object.keys(records),
    server: { name: 'web1', addresses: [OWN] },
    records: async (name): Promise<AddressRecord[]> => {
      const found = records[name] ?? [];
      if (found instanceof Error) throw found;
      return found.map((address) => ({ name, type: address.includes(':') ? 'AAAA' : 'A', address }));
    },
    placeProbe: async () => {
      placed += 1;
      return { token: 'probe', content: 'ours', addresses: [OWN, '2001:db8::10'] };
    },
    probe: async ({ address }) => {
      asked.push(address);
      return answers[address] ?? silent;
    },
  };
  return { check, asked, placed: () => placed };
}

const ours: ProbeAnswer = { answered: true, status: 200, location: null, body: 'ours\n' };

async function failureOf(check: NameCheck) {
  return await checkNames(check).then(
    () => null,
    (error: unknown) => error as Error & { type: string },
  );
}

describe('names that lead to the server', () => {
  test('pass without anything being asked of it', async () => {
    const { check, placed } = world({ 'a.test': [OWN], 'www.a.test': [OWN] });
    expect(await checkNames(check)).toEqual({ names: ['a.test', 'www.a.test'], warnings: [], probed: false });
    expect(placed()).toBe(0);
  });

  test('pass also by an address that only the server knows, however it is written', async () => {
    const { check, asked } = world({ 'a.test': [OWN, '2001:DB8:0::10'] });
    expect(await checkNames(check)).toMatchObject({ names: ['a.test'], probed: true });
    expect(asked).toEqual([]);
  });

  test('pass through a proxy that hands the probe on', async () => {
    const { check } = world({ 'a.test': [PROXY] }, { [PROXY]: ours });
    expect(await checkNames(check)).toMatchObject({ names: ['a.test'], warnings: [] });
  });

  test("pass with a warning where the proxy's IPv6 cannot be asked from here", async () => {
    const answers = { [PROXY]: ours, '2001:db8:9::1': { answered: false, code: 'ENETUNREACH' } as const };
    const { warnings } = await checkNames(world({ 'a.test': [PROXY, '2001:db8:9::1'] }, answers).check);
    expect(warnings).toEqual([expect.stringContaining('2001:db8:9::1')]);
  });
});

describe('names that do not', () => {
  test('because of a wrong AAAA record are refused with the record and what to do', async () => {
    const { check } = world(
      { 'a.test': [OWN, '2001:db8:9::1'] },
      { '2001:db8:9::1': { answered: false, code: 'ENETUNREACH' } },
    );
    const error = await failureOf(check);
    expect(error).toMatchObject({ type: 'DomainNotPointed' });
    expect(error?.message).toContain('a.test has the AAAA record 2001:db8:9::1, which is not web1');
    expect(failureDetails(error as never).cause).toContain('Remove the AAAA record 2001:db8:9::1');
  });

  test.each([
    ['another server answers', { answered: true, status: 404, location: null, body: 'no' } as const, 'HTTP 404'],
    ['nothing answers', silent, 'ECONNREFUSED'],
    [
      'a proxy forces HTTPS',
      { answered: true, status: 301, location: 'https://a.test/', body: '' } as const,
      'redirects to "https://a.test/"',
    ],
    [
      'a page swallows every path',
      { answered: true, status: 200, location: null, body: '<html>' } as const,
      'something else',
    ],
  ])('are refused: %s', async (_, answer, said) => {
    const error = await failureOf(world({ 'a.test': [OWN, PROXY] }, { [PROXY]: answer }).check);
    expect(error).toMatchObject({ type: 'DomainNotPointed' });
    expect(error?.message).toContain(PROXY);
    expect(error?.message).toContain(said);
  });

  test.each([
    '127.0.0.1',
    '10.0.0.5',
    '169.254.169.254',
    '192.168.1.1',
    '::1',
    'fe80::1',
    '::ffff:127.0.0.1',
    'fd00::1',
  ])('lead CHOM to no private address: %s', async (address) => {
    const { check, asked } = world({ 'a.test': [address] }, { [address]: ours });
    expect(await failureOf(check)).toMatchObject({ type: 'DomainNotPointed' });
    expect(asked).toEqual([]);
  });
});

describe('names that do not resolve', () => {
  test('are left out with a warning where they are aliases', async () => {
    const { check } = world({ 'a.test': [OWN], 'dead.a.test': [] });
    expect(await checkNames(check)).toEqual({
      names: ['a.test'],
      warnings: ['dead.a.test does not resolve and is left out of the certificate'],
      probed: false,
    });
  });

  test('are an error where it is the domain itself', async () => {
    expect(await failureOf(world({ 'a.test': [], 'www.a.test': [OWN] }).check)).toMatchObject({
      type: 'DomainNotPointed',
    });
  });

  test('because DNS fails are asked about again later', async () => {
    const servfail = Object.assign(new Error('queryA ESERVFAIL a.test'), { code: 'ESERVFAIL' });
    const error = await failureOf(world({ 'a.test': servfail }).check);
    expect(error).toMatchObject({ type: 'ValidationFailed' });
    expect(error?.message).toContain('ESERVFAIL');
  });
});

test("a server's address is itself, or what its name resolves to", async () => {
  expect(await serverAddresses('2001:db8::1')).toEqual(['2001:db8::1']);
  expect(await serverAddresses('localhost')).toContain('127.0.0.1');
});
