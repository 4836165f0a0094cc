import { defaultPayloadConverter } from '@temporalio/common';
import { expect, test } from 'vitest';
import { payloadCodec } from '../../src/client/payload-codec.js';
import { Keyring } from '../../src/inventory/keyring.js';
import { isUnreadable } from '../../src/workflows/unreadable.js';

const keyring = () => Keyring.fromObject(Keyring.generate());
const payload = (value: unknown) => defaultPayloadConverter.toPayload(value);
const value = (of: ReturnType<typeof payload>) => defaultPayloadConverter.fromPayload<unknown>(of);

test('opens what it sealed, and nothing of it can be read on the way', async () => {
  const codec = payloadCodec(keyring());
  const sealed = await codec.encode([payload({ domain: 'example.org' }), payload(null)]);
  const bytes = sealed.map(
    ({ metadata, data }) => Buffer.from(data ?? []).toString('latin1') + JSON.stringify(metadata),
  );
  expect(bytes.join()).not.toMatch(/example|json/);
  expect((await codec.decode(sealed)).map((one) => value(one))).toEqual([{ domain: 'example.org' }, null]);
});

test('seals the same value differently each time', async () => {
  const codec = payloadCodec(keyring());
  const [one, other] = await codec.encode([payload('same'), payload('same')]);
  expect(one?.data).not.toEqual(other?.data);
});

test.each([
  ['plaintext', async () => payload({ operation: 'forged' })],
  ['another key', async () => (await payloadCodec(keyring()).encode([payload('secret')]))[0]],
  ['an altered byte', async () => altered(payload('secret'))],
  ['nothing', async () => ({ metadata: {}, data: new Uint8Array() })],
])('makes of %s a value that no schema accepts, without throwing', async (_, made) => {
  const foreign = await made();
  const [decoded] = await payloadCodec(ours).decode([foreign ?? {}]);
  expect(isUnreadable(value(decoded ?? {}))).toBe(true);
  expect(JSON.stringify(value(decoded ?? {}))).not.toContain('secret');
});

test('still opens what an earlier key sealed, after the keyring got a new one', async () => {
  const old = Keyring.generate();
  const sealed = await payloadCodec(Keyring.fromObject(old)).encode([payload('kept')]);
  const { keys, current } = Keyring.generate();
  const rotated = Keyring.fromObject({ keys: [...old.keys, ...keys], current });
  const [opened] = await payloadCodec(rotated).decode(sealed);
  expect(value(opened ?? {})).toBe('kept');
});

const ours = keyring();

async function altered(of: ReturnType<typeof payload>) {
  const [sealed] = await payloadCodec(ours).encode([of]);
  const data = Buffer.from(sealed?.data ?? []);
  data[data.length - 1] = (data.at(-1) ?? 0) ^ 1;
  return { ...sealed, data };
}
