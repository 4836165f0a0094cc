import { afterAll, beforeAll, expect, test } from 'vitest';
import { startFollowing, type Following } from './following.js';

let following: Following;
beforeAll(async () => {
  following = await startFollowing();
});
afterAll(async () => await following?.close());

test('a master key is replaced, and thrown away where Temporal keeps nothing that it sealed', async () => {
  const { run, chom } = following;
  const old = chom.keyring.current;
  expect(await run('key', 'rotate')).toMatchObject({ status: 0 });
  expect(await run('key', 'retire', old)).toMatchObject({ status: 2 });
  const ran = await run('key', 'retire', old, '--confirm', old);
  expect(ran.status, ran.stderr).toBe(0);
  const { keys } = JSON.parse((await run('key', 'list', '--json')).stdout) as { keys: { id: string }[] };
  expect(keys).toHaveLength(1);
  expect(keys[0]?.id).not.toBe(old);
});
