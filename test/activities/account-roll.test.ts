import { createHmac, createPublicKey } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readConfig } from '../../src/config.js';
import * as accounts from '../../src/inventory/accounts.js';
import * as credentials from '../../src/inventory/credentials.js';
import { plainSettings } from '../../src/plane/settings.js';
import { failureOf, onDatabase } from '../inventory/databases.js';
import { acmeSteps, plan } from './acme-steps.js';
import { type FakeAuthority, problem } from './fake-authority.js';

type Worker = ReturnType<Awaited<ReturnType<typeof acmeSteps>>['worker']>;
const PLAN = { tenant: 'default', fallback: false };

onDatabase('sqlite', 'the key of the account at an authority', (database) => {
  let fake: FakeAuthority;
  let perform: Worker;
  beforeEach(async () => {
    const made = await acmeSteps(database);
    fake = made.fake;
    perform = made.worker();
  });
  afterEach(async () => await fake.close());

  const rows = async () =>
    await database.inventory.db.selectFrom('credentials').selectAll().orderBy('createdAt').execute();
  const account = async () => await accounts.byDirectory(database.inventory.db, fake.directory);
  /** Whether the key that CHOM uses is the one that the authority goes by. */
  async function expectKnown(): Promise<void> {
    const { credential = '' } = (await account()) ?? {};
    const held = await credentials.byId(database.inventory.db, credential);
    const { x } = createPublicKey(credentials.open(held, database.keyring)).export({ format: 'jwk' });
    expect(fake.state.holder).toContain(String(x));
    expect(await perform('prepareAcmeAccount', 1)).toMatchObject({ renewed: false });
  }
  const created = () =>
    fake.posts('account').filter(({ payload }) => JSON.stringify(payload).includes('termsOfService'));
  async function begun(): Promise<void> {
    await perform('prepareAcmeAccount', 1);
    await perform('findAccount', 1, PLAN);
    await perform('makeNextAccountKey', 1, PLAN);
    await perform('makeNextAccountKey', 1, PLAN);
  }

  test('is changed, and the old one is gone', async () => {
    await begun();
    const before = await account();
    expect(await rows()).toMatchObject([{ state: 'current' }, { state: 'next' }]);
    await perform('changeAccountKey', 1, PLAN);
    await perform('changeAccountKey', 1, PLAN);
    await perform('useNextAccountKey', 1, PLAN);
    expect(fake.posts('keyChange')).toHaveLength(1);
    expect(await account()).toMatchObject({ url: before?.url });
    expect((await account())?.credential).not.toBe(before?.credential);
    expect(await rows()).toMatchObject([{ state: 'current' }]);
    await expectKnown();
    expect(created()).toHaveLength(1);
  });

  test('of which no answer came is asked after before anything is done', async () => {
    await begun();
    fake.next('keyChange', 'lost');
    await perform('changeAccountKey', 1, PLAN);
    expect(fake.posts('keyChange')).toHaveLength(1);
    await perform('useNextAccountKey', 1, PLAN);
    await expectKnown();
  });

  test('that was changed and not recorded is found by whoever needs the account next', async () => {
    await begun();
    await perform('changeAccountKey', 1, PLAN);
    expect(await perform('prepareAcmeAccount', 1)).toMatchObject({ renewed: false });
    expect(await rows()).toMatchObject([{ state: 'current' }]);
    await expectKnown();
    expect(created()).toHaveLength(1);
    // The operation itself, should it go on, finds it done.
    await perform('useNextAccountKey', 1, PLAN);
    await expectKnown();
  });

  test('is found in the middle of an order, too', async () => {
    await begun();
    await perform('changeAccountKey', 1, PLAN);
    expect(await perform('placeOrder', 1, ['a.test'])).toMatchObject({ url: expect.any(String) });
    await expectKnown();
  });

  test('that the authority does not change stays, and works', async () => {
    await begun();
    fake.next('keyChange', problem(403, 'unauthorized', 'no'));
    expect(await failureOf(perform('changeAccountKey', 1, PLAN))).toMatchObject({ type: 'CertificateRefused' });
    await expectKnown();
    expect(await rows()).toMatchObject([{ state: 'current' }, { state: 'next' }]);
    // An authority that forgot the account makes it anew with the key that is known to be its own.
    fake.state.accountKnown = false;
    expect(await perform('prepareAcmeAccount', 1)).toMatchObject({ renewed: true });
  });

  test('of an account that there is not is refused', async () => {
    expect(await failureOf(perform('findAccount', 1, PLAN))).toMatchObject({
      type: 'NotFound',
      details: { next: 'chom certificate issue DOMAIN' },
    });
  });
});

onDatabase('sqlite', 'external account binding', (database) => {
  const secret = Buffer.from('a key of thirty-two bytes, or so').toString('base64url');

  test('ties the account at the second authority to what its holder has there, and only as it is made', async () => {
    const { fake, worker } = await acmeSteps(database, (directory) => ({
      ...{ CHOM_ACME_DIRECTORY: 'https://127.0.0.1:9/dir', CHOM_ACME_FALLBACK_DIRECTORY: directory },
      ...{ CHOM_ACME_FALLBACK_EAB_KID: 'ours', CHOM_ACME_FALLBACK_EAB_SECRET: secret },
    }));
    try {
      const perform = worker();
      const atSecond = { ...plan, renewal: { certificate: 'none', emergency: true, fallback: true } };
      await perform('prepareAcmeAccount', 1, atSecond);
      await perform('prepareAcmeAccount', 1, atSecond);
      const bound = fake.posts('account').map(({ payload }) => (payload as Bound).externalAccountBinding);
      expect(bound.filter(Boolean)).toHaveLength(1);
      const { protected: head = '', payload = '', signature = '' } = bound.find(Boolean) ?? {};
      expect(JSON.parse(Buffer.from(head, 'base64url').toString())).toMatchObject({ alg: 'HS256', kid: 'ours' });
      expect([...fake.accountKeys]).toEqual([Buffer.from(payload, 'base64url').toString()]);
      const hmac = createHmac('sha256', Buffer.from(secret, 'base64url')).update(`${head}.${payload}`);
      expect(hmac.digest('base64url')).toBe(signature);
      expect(JSON.stringify(await database.inventory.db.selectFrom('credentials').selectAll().execute())).not.toContain(
        secret,
      );
    } finally {
      await fake.close();
    }
  });

  test('half set up, or of no authority, is refused, and is in no backup', () => {
    const one = { CHOM_ACME_FALLBACK_DIRECTORY: 'https://ca.example/dir' };
    const half = () => readConfig({ ...one, CHOM_ACME_FALLBACK_EAB_KID: 'ours' });
    expect(half).toThrow('CHOM_ACME_FALLBACK_EAB_SECRET: CHOM_ACME_FALLBACK_EAB_KID is set without it');
    expect(() => readConfig({ CHOM_ACME_EAB_SECRET: secret })).toThrow('CHOM_ACME_EAB_KID');
    const both = { CHOM_ACME_FALLBACK_EAB_KID: 'ours', CHOM_ACME_FALLBACK_EAB_SECRET: secret };
    expect(() => readConfig(both)).toThrow('CHOM_ACME_FALLBACK_DIRECTORY does not say');
    let said = '';
    try {
      readConfig({ ...one, ...both, CHOM_ACME_FALLBACK_EAB_SECRET: 'not base64url!' });
    } catch (error) {
      said = String(error);
    }
    expect(said).toContain('not a key in base64url');
    expect(said).not.toContain('not base64url!');
    expect(readConfig({ ...one, ...both }).acmeFallbackEabKid).toBe('ours');
    expect(plainSettings({ ...one, ...both })).toEqual({ ...one, CHOM_ACME_FALLBACK_EAB_KID: 'ours' });
  });
});

interface Bound {
  externalAccountBinding?: { protected: string; payload: string; signature: string };
}
