import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { changeKeyring, keyringFile, openKeyring, setRecoveryKey } from '../../src/inventory/keyring-file.js';
import { Keyring, type KeyringObject } from '../../src/inventory/keyring.js';
import { createRecoveryKey, openFromRecovery, sealToRecovery } from '../../src/inventory/recovery.js';
import { failureOf } from './databases.js';

const failing = (fn: () => unknown) => failureOf(Promise.resolve().then(fn));

describe('What is sealed', () => {
  const object = Keyring.generate();
  const keyring = Keyring.fromObject(object);

  test('opens for the same context, as text and as bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), (bytes, context) => {
        const plaintext = Buffer.from(bytes);
        const sealed = keyring.seal(plaintext, context);
        expect(sealed).toMatch(/^chom1\.k[0-9a-f]{12}\.[\w-]+$/);
        expect(keyring.open(sealed, context).equals(plaintext)).toBe(true);
        expect(keyring.openBytes(keyring.sealBytes(plaintext, context), context).equals(plaintext)).toBe(true);
        expect(() => keyring.open(sealed, `${context}x`)).toThrow('cannot be opened');
      }),
    );
  });

  test('opens no more once any part of it was changed', async () => {
    const sealed = keyring.sealBytes(Buffer.from('open sesame'), 'c');
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = Uint8Array.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 1;
      const refused = await failing(() => keyring.openBytes(changed, 'c'));
      expect(refused.type).toBe('Forbidden');
      expect(JSON.stringify(refused)).not.toContain('sesame');
    }
    for (const length of [0, 1, 10, sealed.length - 1]) {
      expect(await failing(() => keyring.openBytes(sealed.subarray(0, length), 'c'))).toMatchObject({
        type: 'Forbidden',
      });
    }
    for (const text of ['', 'plain', 'chom1', 'chom1.', 'chom2.a.b', `chom1.${keyring.current}.`, 'chom1.a.b.c']) {
      expect(await failing(() => keyring.open(text, 'c'))).toMatchObject({ type: 'Forbidden' });
    }
  });

  test('says which key it needs', async () => {
    const stranger = Keyring.fromObject(Keyring.generate());
    const refused = await failing(() => stranger.open(keyring.seal(Buffer.from('x'), 'c'), 'c'));
    expect(refused.details.cause).toBe(`this keyring does not hold key ${keyring.current}`);
  });

  test('by an older key stays open after a newer one has come', () => {
    const sealed = keyring.seal(Buffer.from('old'), 'c');
    const newer = Keyring.generate();
    const both = Keyring.fromObject({ current: newer.current, keys: [...object.keys, ...newer.keys] });
    expect(both.open(sealed, 'c').toString()).toBe('old');
    expect(both.seal(Buffer.from('new'), 'c')).toContain(newer.current);
    expect(both.ids).toEqual([object.current, newer.current]);
  });

  test('by a damaged keyring is refused without a word of it', async () => {
    const [key] = object.keys;
    for (const damaged of [
      null,
      {},
      { ...object, current: 'none' },
      { ...object, keys: [{ ...key, key: 'c2hvcnQ=' }] },
    ]) {
      const refused = await failing(() => Keyring.fromObject(damaged));
      expect(refused).toMatchObject({ type: 'InvalidInput', message: 'The keyring is damaged' });
      expect(JSON.stringify(refused)).not.toContain(key?.key);
    }
  });
});

describe('The keyring file', () => {
  let directory = '';
  beforeEach(async () => void (directory = join(await mkdtemp(join(tmpdir(), 'chom-keyring-')), 'home')));
  afterEach(async () => await rm(join(directory, '..'), { recursive: true }));

  test('is made once, for its owner alone, also by several at once', async () => {
    const all = await Promise.all(Array.from({ length: 10 }, () => openKeyring(directory)));
    expect(new Set(all.map(({ current }) => current)).size).toBe(1);
    expect((await stat(keyringFile(directory))).mode & 0o777).toBe(0o600);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect(await readdir(directory)).toEqual(['keyring.json']);
    expect((await openKeyring(directory)).ids).toEqual(all[0]?.ids);
  });

  test('is refused when others can read it, when it is a link, and when it is damaged', async () => {
    await openKeyring(directory);
    const file = keyringFile(directory);
    for (const mode of [0o640, 0o604, 0o620]) {
      await chmod(file, mode);
      const refused = await failureOf(openKeyring(directory));
      expect(refused).toMatchObject({
        type: 'Forbidden',
        details: { next: expect.stringContaining(`chmod 600 ${file}`) },
      });
    }
    await chmod(file, 0o600);
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.slice(0, -20));
    const damaged = await failureOf(openKeyring(directory));
    expect(damaged).toMatchObject({ type: 'InvalidInput' });
    expect(JSON.stringify(damaged)).not.toContain(text.slice(60, 80));
    await rm(file);
    await symlink('/etc/hostname', file);
    expect(await failureOf(openKeyring(directory))).toMatchObject({ type: 'InvalidInput' });
  });

  test('that cannot be opened is named', async () => {
    expect(await failureOf(openKeyring('/dev/null/none'))).toMatchObject({
      type: 'InvalidInput',
      message: 'The keyring /dev/null/none/keyring.json cannot be opened',
    });
  });

  test('is followed: whoever opened it holds a key that came later, before anything reaches him that it sealed', async () => {
    const held = await openKeyring(directory);
    const before = held.current;
    const { rotating = '' } = await changeKeyring(directory, (object) => Keyring.withNext(object));
    await changeKeyring(directory, (object) => Keyring.withNext(object));
    const sealed = Keyring.fromObject(
      await changeKeyring(directory, (object) => ({ ...object, current: rotating })),
    ).seal(Buffer.from('new'), 'c');
    expect(held.open(sealed, 'c').toString()).toBe('new');
    expect([held.current, held.rotating, held.ids]).toEqual([rotating, rotating, [before, rotating]]);
    expect((await stat(keyringFile(directory))).mode & 0o777).toBe(0o600);
    expect(await readdir(directory)).toEqual(['keyring.json']);
    await changeKeyring(directory, ({ keys, current }) => ({ keys: keys.filter(({ id }) => id === current), current }));
    held.refreshed(true);
    expect(held.ids).toEqual([rotating]);
  });

  test('of another installation is not taken over, nor one that others can read, or that is damaged', async () => {
    const held = await openKeyring(directory);
    const { ids } = held;
    const file = keyringFile(directory);
    const other = JSON.stringify(Keyring.generate());
    for (const [text, mode] of [
      [other, 0o600],
      ['{', 0o600],
      [JSON.stringify(Keyring.withNext(JSON.parse(await readFile(file, 'utf8')) as KeyringObject)), 0o644],
    ] as const) {
      await writeFile(file, text);
      await chmod(file, mode);
      held.refreshed(true);
      expect(held.ids).toEqual(ids);
    }
  });

  test('keeps the public half of one recovery key', async () => {
    expect(await failureOf(setRecoveryKey(directory, 'x'))).toMatchObject({ type: 'Conflict' });
    const held = await openKeyring(directory);
    const { current } = held;
    expect(held.recovery).toBeUndefined();
    const { publicKey } = createRecoveryKey();
    const ends = await Promise.allSettled([setRecoveryKey(directory, publicKey), setRecoveryKey(directory, publicKey)]);
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await openKeyring(directory)).toMatchObject({ current, recovery: publicKey });
    // At once: the process that made it goes on to seal to it.
    expect(held.recovery).toBe(publicKey);
    expect(await failureOf(setRecoveryKey(directory, publicKey))).toMatchObject({ type: 'Conflict' });
    expect(await readdir(directory)).toEqual(['keyring.json']);
  });
});

describe('The recovery key', () => {
  const { publicKey, privateKey } = createRecoveryKey();

  test('opens what was sealed to it, with its private half alone', async () => {
    const sealed = sealToRecovery(publicKey, Buffer.from('open sesame'));
    expect(sealed).not.toContain('sesame');
    expect(sealToRecovery(publicKey, Buffer.from('open sesame'))).not.toBe(sealed);
    expect(openFromRecovery(`${privateKey}\n`, sealed).toString()).toBe('open sesame');
    expect(await failing(() => openFromRecovery(createRecoveryKey().privateKey, sealed))).toMatchObject({
      type: 'Forbidden',
    });
    expect(await failing(() => openFromRecovery(publicKey, sealed))).toMatchObject({ type: 'InvalidInput' });
    expect(await failing(() => sealToRecovery(privateKey, Buffer.from('x')))).toMatchObject({ type: 'InvalidInput' });
  });

  test('opens nothing that was changed', async () => {
    const sealed = sealToRecovery(publicKey, Buffer.from('open sesame'));
    const [format = '', from = '', body = ''] = sealed.split('.');
    const bytes = Buffer.from(body, 'base64url');
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      const text = [format, from, changed.toString('base64url')].join('.');
      expect(await failing(() => openFromRecovery(privateKey, text))).toMatchObject({ type: 'Forbidden' });
    }
    const other = createRecoveryKey().publicKey.slice(-43);
    for (const text of ['', 'x', `${format}.${other}.${body}`, `${format}.${from}`, `${format}.${from}.AAAA`]) {
      expect(await failing(() => openFromRecovery(privateKey, text))).toMatchObject({ type: 'Forbidden' });
    }
  });
});
