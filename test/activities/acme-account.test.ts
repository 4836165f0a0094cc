import { afterEach, beforeEach, expect, test } from 'vitest';
import * as accounts from '../../src/inventory/accounts.js';
import { failureOf, onDatabase } from '../inventory/databases.js';
import { acmeSteps } from './acme-steps.js';
import { type FakeAuthority, problem } from './fake-authority.js';

type Worker = ReturnType<Awaited<ReturnType<typeof acmeSteps>>['worker']>;

onDatabase('sqlite', 'the account at an authority', (database) => {
  let fake: FakeAuthority;
  let perform: Worker;
  let another: Worker;

  beforeEach(async () => {
    const made = await acmeSteps(database);
    fake = made.fake;
    perform = made.worker();
    another = made.worker();
  });

  afterEach(async () => {
    await fake.close();
  });

  test('is made once and used again, also by another worker', async () => {
    expect(await perform('prepareAcmeAccount', 1)).toMatchObject({ renewed: false });
    expect(await another('prepareAcmeAccount', 1)).toMatchObject({ renewed: false });
    expect(
      fake.posts('account').filter(({ payload }) => JSON.stringify(payload).includes('termsOfServiceAgreed')),
    ).toHaveLength(1);
    expect(fake.posts('account')[0]?.payload).toMatchObject({ contact: ['mailto:ops@example.org'] });
  });

  test('made by two workers at once has one key', async () => {
    await Promise.all([perform('prepareAcmeAccount', 1), another('prepareAcmeAccount', 1)]);
    expect(fake.accountKeys.size).toBe(1);
  });

  test('that the authority forgot is registered again with its key, and it is said', async () => {
    await perform('prepareAcmeAccount', 1);
    fake.state.accountKnown = false;
    expect(await perform('prepareAcmeAccount', 1)).toMatchObject({ renewed: true });
    expect(fake.accountKeys.size).toBe(1);
  });

  test('whose key is sealed: nothing in the inventory shows it', async () => {
    await perform('prepareAcmeAccount', 1);
    const known = await accounts.byDirectory(database.inventory.db, fake.directory);
    const rows = await database.inventory.db.selectFrom('credentials').selectAll().execute();
    expect(rows.map(({ id }) => id)).toContain(known?.credential);
    expect(JSON.stringify(rows)).not.toContain('PRIVATE');
  });

  test('that was deactivated is not tried again', async () => {
    await perform('prepareAcmeAccount', 1);
    fake.next('account', problem(403, 'unauthorized', 'account is deactivated'));
    expect(await failureOf(perform('prepareAcmeAccount', 1))).toMatchObject({ type: 'CertificateRefused' });
  });
});
