import { expect, test } from 'vitest';
import { onDisk } from '../../src/host/reach.js';
import { addPassword, currentKey, listKeys, removePassword } from '../../src/host/restic-keys.js';
import { failureOf } from '../inventory/databases.js';

const access = { url: '/srv/box/site', login: null, ca: null };
const failing = async (fn: () => unknown) => await failureOf(Promise.resolve().then(fn));

test('the key that the password at hand is, is the one that restic marks', async () => {
  const other = { current: false, id: 'aaaaaaaa', userName: 'root', hostName: 'web1', created: '2026-11-27 03:00:00' };
  expect(currentKey(JSON.stringify([other, { ...other, current: true, id: '0123abcd' }]))).toBe('0123abcd');
  expect(currentKey(JSON.stringify([other]))).toBeNull();
  for (const text of ['', 'nothing', '[{"current":true,"id":"; rm -rf /"}]', '[{"current":true']) {
    expect(await failing(() => currentKey(text))).toMatchObject({ type: 'CommandFailed' });
  }
});

test('a password is added and removed by files and standard input alone', async () => {
  const { check, act } = addPassword(access);
  for (const script of [check, act])
    expect(script.script.toString()).toContain('"$CREDENTIALS_DIRECTORY/next-password"');
  expect(act.script.toString()).toContain('key add --new-password-file');
  const reach = onDisk({ path: '/srv/box', name: 'site' }, Buffer.from('open sesame'));
  expect(listKeys(reach).script.toString()).toContain("printf '%s\\n' 'open sesame' |");
  const removal = removePassword(reach, '0123abcd');
  expect(removal.act.script.toString()).not.toContain('sesame');
  expect(removal.act.script.toString()).toContain("key remove '\\''0123abcd");
  expect(await failing(() => removePassword(reach, '0123abcd; true'))).toMatchObject({ type: 'Bug' });
});
